from msgspec import Struct


class GcpSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Which files of Google credentials on the gateway's machine a credential may name, as shell patterns of absolute
    paths.

    Such a file may say where tokens are got and what is run for them, so the operator names it, not the admin API.
    """

    credentials_files: tuple[str, ...] = ()
