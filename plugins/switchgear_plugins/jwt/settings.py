from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

from switchgear.wire.jose import PUBLISHED, SHARED, SHORTEST_SECRET

Text = Annotated[str, Meta(min_length=1, max_length=1000)]
Url = Annotated[str, Meta(pattern=r"^https?://")]
Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"
]


class RuleSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Who is meant, and what they are. The first rule whose claims all say so counts.

    when     claims by name or dotted path, and what each says; `*` at the end stands for anything
    team     the label `team`, instead of the issuer's; likewise the others
    models   what may be used
    admin    whether the admin API may be used, all of it
    """

    when: dict[str, Text]
    team: Text | None = None
    user: Text | None = None
    tags: tuple[Text, ...] = ()
    models: tuple[Text, ...] | None = None
    admin: bool = False


class IssuerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose tokens are taken, and what their claims mean.

    issuer, audience   what `iss` is, and of which `aud` has one
    jwks_url, secret   where the issuer publishes its keys, or the secret that it shares (32 bytes or more)
    algorithms         those that it signs with; default RS256, or HS256 with a secret
    leeway             seconds by which clocks may differ
    id_claim           whose id it is: the principal is ISSUER:ID
    require            claims without which no token is taken
    team, team_claim, user_claim, tags_claim, labels   labels of the principal: a fixed team, or claims that say them
    models, models_claim   what may be used; the claim (a list, or words) leaves less of it
    rules              who is what; where there are some, a token that none of them means is not taken
    """

    issuer: Text
    audience: Annotated[tuple[Text, ...], Meta(min_length=1)]
    jwks_url: Url | None = None
    secret: str | None = None
    algorithms: tuple[Algorithm, ...] = ()
    leeway: Annotated[float, Meta(ge=0, le=300)] = 30.0
    id_claim: Text = "sub"
    require: dict[str, Text] = {}
    team: Text | None = None
    team_claim: Text | None = None
    user_claim: Text | None = None
    tags_claim: Text | None = None
    labels: dict[Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$")], Text] = {}
    models: tuple[Text, ...] = ()
    models_claim: Text | None = None
    rules: tuple[RuleSettings, ...] = ()

    def __post_init__(self) -> None:
        if (self.jwks_url is None) == (self.secret is None):
            raise ValueError("an issuer has either `jwks_url` or `secret`")
        if self.secret is not None and len(self.secret.encode()) < SHORTEST_SECRET:
            raise ValueError(f"`secret` has less than {SHORTEST_SECRET} bytes, so it can be guessed; take a longer one")
        possible = PUBLISHED if self.secret is None else SHARED
        if wrong := [it for it in self.algorithms if it not in possible]:
            kind = "keys that are published" if self.secret is None else "a shared secret"
            raise ValueError(f"`algorithms`: {', '.join(wrong)} is none of {kind}")
        if taken := self.labels.keys() & {"team", "user", "key"}:
            raise ValueError(f"`labels`: {', '.join(sorted(taken))} is said by a setting of its own, or nobody's")

    @property
    def pinned(self) -> tuple[str, ...]:
        """The algorithms that count."""
        return self.algorithms or (("RS256",) if self.secret is None else ("HS256",))


class JwtSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The table [plugins.jwt]: `issuers` by a name of one's own (`[plugins.jwt.issuers.NAME]`)."""

    issuers: Mapping[Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")], IssuerSettings] = {}
