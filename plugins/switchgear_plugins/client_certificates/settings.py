from ipaddress import ip_network
from typing import Annotated

from msgspec import Meta, Struct

Text = Annotated[str, Meta(min_length=1, max_length=1000)]


class RuleSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose certificates are meant, and what they are. The first rule whose facts all say so counts.

    when     facts of the certificate by name (`subject`, `cn`, `uri` …), and what each says; `*` at the end stands for anything
    team, user, tags   labels and tags of whoever it is
    models   what may be used
    admin    whether the admin API may be used, all of it
    """

    when: Annotated[dict[str, Text], Meta(min_length=1)]
    team: Text | None = None
    user: Text | None = None
    tags: tuple[Text, ...] = ()
    models: tuple[Text, ...] = ()
    admin: bool = False


class ClientCertificatesSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The table [plugins.client_certificates].

    proxies   addresses and networks of the proxies that are believed; from anywhere else the header is not read
    header    in which they hand on the certificate that they verified
    id        the fact that is the id of whoever it is, and stays when a certificate is renewed
    rules     who is what; a certificate that none of them means is not taken
    """

    proxies: tuple[Text, ...] = ()
    header: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,64}$")] = "client-cert"
    id: Text = "subject"
    rules: tuple[RuleSettings, ...] = ()

    def __post_init__(self) -> None:
        for network in self.proxies:
            try:
                ip_network(network)
            except ValueError as error:
                raise ValueError(f"`proxies`: {error}") from None
