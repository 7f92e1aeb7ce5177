from typing import Literal

from msgspec import Struct


class GigaChatSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`settings` of a provider of type `gigachat`.

    scope     whose account it is: a person's (`PERS`), a company's that pays ahead (`B2B`) or afterwards (`CORP`)
    auth_url  where tokens are given out

    Its certificates are signed by the Russian Trusted Root CA, which systems do not know: give its PEM file as `ca_bundle` of
    the provider resource (developers.sber.ru/docs/ru/gigachat/certificates).
    """

    scope: Literal["GIGACHAT_API_PERS", "GIGACHAT_API_B2B", "GIGACHAT_API_CORP"] = "GIGACHAT_API_PERS"
    auth_url: str = "https://ngw.devices.sberbank.ru:9443/api/v2/oauth"
