from msgspec import Struct


class EnvSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Which environment variables a credential may name, as shell patterns: in `allow` and not in `deny`.

    Whoever may write a credential may have its value sent to a provider of theirs, so the gateway's own secrets stay out
    of reach unless `deny` says otherwise; what plugins.toml itself reads by `{ env = … }` always does.
    """

    allow: tuple[str, ...] = ("*",)
    deny: tuple[str, ...] = ("SWITCHGEAR_*", "ADMIN_*", "JWT_*", "USERS_JWKS", "DATABASE_URL", "REDIS_URL")
