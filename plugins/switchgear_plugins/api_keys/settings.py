from msgspec import Struct


class ApiKeysSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The table [plugins.api_keys]. Keys made with `test` may use `test_models`: names, or what names begin with and a `*`."""

    test_models: tuple[str, ...] = ("echo",)
