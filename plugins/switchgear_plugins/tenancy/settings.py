from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

Minutes = Annotated[float, Meta(gt=0, le=366 * 24 * 60)]
SHORTEST, LONGEST = 8, 1024
"""Characters of a password."""
SHORTEST_SECRET = 32
"""Bytes of an HMAC key of SHA-256 (RFC 7518, 3.2)."""


class TenancySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The table [plugins.tenancy].

    users_jwks      a JWKS with RSA keys: the first with a private part signs tokens of sessions (RS256), all verify them
    jwt_secret      else the secret that signs them (HS256), 32 bytes or more; else one is made in the data directory
    admin_password  where there is no administrator yet, the user `admin` is made with it
    access_minutes, refresh_minutes, cookie_minutes   how long an access token, a refresh token, a session in a cookie is good
    secure_cookies  whether cookies go over TLS alone; default: where the request came so
    hashes          passwords that are hashed at the same time, each in a thread with 19 MiB
    login_url       where names and passwords are tried that are no user's here: POST {"username", "password"} answers
                    {"staff": true, "username", "subject", "email", "name", "team_id", "role"}; nobody else is let in
    outside_team, outside_role   what a user from elsewhere is in where nobody says so; without a team there they are refused
    """

    users_jwks: str | None = None
    jwt_secret: str | None = None
    admin_password: str | None = None
    access_minutes: Minutes = 15.0
    refresh_minutes: Minutes = 14 * 24 * 60.0
    cookie_minutes: Minutes = 12 * 60.0
    secure_cookies: bool | None = None
    hashes: Annotated[int, Meta(ge=1, le=16)] = 2

    login_url: Annotated[str, Meta(pattern=r"^https?://")] | None = None
    outside_team: str | None = None
    outside_role: Literal["owner", "admin", "member", "viewer"] = "member"

    variables: ClassVar[Mapping[str, str]] = {
        "USERS_JWKS": "users_jwks",
        "JWT_SECRET": "jwt_secret",
        "ADMIN_DEFAULT_PASSWORD": "admin_password",
    }

    def __post_init__(self) -> None:
        if self.admin_password is not None and not SHORTEST <= len(self.admin_password) <= LONGEST:
            raise ValueError(f"admin_password (ADMIN_DEFAULT_PASSWORD) must have {SHORTEST} to {LONGEST} characters")
        if self.jwt_secret is not None and len(self.jwt_secret.encode()) < SHORTEST_SECRET:
            raise ValueError(
                f"jwt_secret (JWT_SECRET) has less than {SHORTEST_SECRET} bytes; `openssl rand -hex 32` makes one"
            )
