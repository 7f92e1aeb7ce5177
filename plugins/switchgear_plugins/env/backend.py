from collections.abc import Callable, Collection, Mapping
from fnmatch import fnmatchcase
from typing import Annotated

from msgspec import Meta, Struct

from switchgear.contracts.credential import Secret
from switchgear.errors import SecretUnavailable
from switchgear_plugins.env.settings import EnvSettings


class EnvSource(Struct, frozen=True, forbid_unknown_fields=True, tag_field="backend", tag="env"):
    """The environment variable each field of the credential is read from: `{"api_key": "PROVIDER_API_KEY"}`."""

    variables: Annotated[dict[str, Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]], Meta(min_length=1)]


class EnvBackend:
    """Secrets in environment variables of the gateway's process. `environ` is read at each fetch, but not what is `own`."""

    source_type: type[Struct] = EnvSource
    secret_fields: tuple[str, ...] = ()

    def __init__(
        self, settings: EnvSettings, environ: Mapping[str, str], own: Callable[[], Collection[str]] = frozenset
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._own = own

    async def fetch(self, credential_id: str, source: EnvSource) -> Secret:
        """Return the values. Raises `SecretUnavailable` naming every variable that is missing, empty or not allowed."""
        problems = []
        values = {}
        for field, variable in source.variables.items():
            values[field] = self._environ.get(variable, "")
            if not self._may_read(variable):
                problems.append(f"{variable} may not be read (see allow and deny of the plugin env in plugins.toml)")
            elif not values[field]:
                problems.append(f"{variable} is {'empty' if variable in self._environ else 'not set'}")
        if problems:
            raise SecretUnavailable(f"credential {credential_id}: environment variable {'; '.join(problems)}")
        return Secret(values)

    def _may_read(self, variable: str) -> bool:
        if variable in self._own() or any(fnmatchcase(variable, pattern) for pattern in self._settings.deny):
            return False
        return any(fnmatchcase(variable, pattern) for pattern in self._settings.allow)
