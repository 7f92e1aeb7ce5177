from msgspec import Struct


class GitopsSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What `{ env = … }` and `{ file = … }` in resource files may name: variables by shell patterns, in `allow_env` and not in
    `deny_env`; files below the folder that is applied, and below `allow_paths`. Who may write such a file may have what it names
    sent to a provider of theirs. The gateway's own keys and data are out of reach, whatever is allowed.
    """

    allow_env: tuple[str, ...] = ("*",)
    deny_env: tuple[str, ...] = ("SWITCHGEAR_*", "ADMIN_*", "JWT_*", "USERS_JWKS", "*_URL")
    allow_paths: tuple[str, ...] = ()
