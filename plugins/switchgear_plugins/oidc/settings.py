from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

Text = Annotated[str, Meta(min_length=1, max_length=1000)]
Role = Literal["owner", "admin", "member", "viewer"]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


class RuleSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Whom of a provider's users a rule means (`{"groups": "staff"}`, `*` at the end stands for anything), and what they are."""

    when: dict[str, Text]
    team: Text | None = None
    role: Role | None = None


class ProviderSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """An OpenID provider, and what its users are here.

    issuer          its name, below which its description is (`/.well-known/openid-configuration`)
    client_id, client_secret, client_auth   who the gateway is to it, and how it says so
    title           what the sign-in page calls it
    scopes          what is asked for besides `openid`
    userinfo        whether claims are also asked for there: some providers have groups nowhere else
    algorithms      those that it signs ID tokens with
    leeway          seconds by which clocks may differ
    subject_claim   its unchanging id of a user
    username_claim  what a new user is called; else the e-mail address, else the id
    create          whether whoever signs in for the first time becomes a user
    team, role      what users are where no rule says so; default: what they are, and new ones as [plugins.tenancy] says
    rules           who is what; the first that means somebody counts. Where there are some, and no `team`, others are refused
    """

    issuer: Annotated[str, Meta(pattern=r"^https?://[^?#]+$")]
    client_id: Text
    client_secret: str | None = None
    client_auth: Literal["basic", "post"] = "basic"
    title: str | None = None
    scopes: tuple[Text, ...] = ("profile", "email")
    userinfo: bool = False
    algorithms: Annotated[tuple[Algorithm, ...], Meta(min_length=1)] = ("RS256",)
    leeway: Annotated[float, Meta(ge=0, le=300)] = 30.0
    subject_claim: Text = "sub"
    username_claim: Text = "preferred_username"
    create: bool = True
    team: Text | None = None
    role: Role | None = None
    rules: tuple[RuleSettings, ...] = ()


class OidcSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The table [plugins.oidc].

    url        where browsers reach the gateway: providers send them back to URL/admin/v1/auth/oidc/NAME/callback
    providers  those that people may sign in with, by a name of one's own (`[plugins.oidc.providers.NAME]`)
    """

    url: Annotated[str, Meta(pattern=r"^https?://[^?#]*[^?#/]$")] | None = None
    providers: Mapping[Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")], ProviderSettings] = {}

    def __post_init__(self) -> None:
        if self.providers and not self.url:
            raise ValueError("`url` is missing: where browsers reach the gateway, such as https://gateway.example.com")
