"""The values of one credential, which nothing shows."""

from collections.abc import Iterator, Mapping, ValuesView

from switchgear.errors import SecretUnavailable


class Secret(Mapping[str, str]):
    """The fields of one credential (`api_key`, `client_secret`, …). Printing, logging or encoding one shows `***`.

    `version` changes whenever the values do, so that what was derived from them can be kept until then. `expires_us` is the
    wall clock microsecond at which it is worthless, None if nobody said; it is fetched anew well before.
    """

    __slots__ = ("_values", "expires_us", "version")

    def __init__(self, values: Mapping[str, str], version: str = "", expires_us: int | None = None) -> None:
        self._values = dict(values)
        self.version = version
        self.expires_us = expires_us

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def values(self) -> ValuesView[str]:
        """Return the values."""
        return self._values.values()

    def required(self, name: str) -> str:
        """Return a field that there must be. Raises `SecretUnavailable` naming it."""
        if not self._values.get(name):
            raise SecretUnavailable(f"the credential has no value named {name}; enter it again with one")
        return self._values[name]

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not serialised")
