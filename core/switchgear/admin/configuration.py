"""`GET /admin/v1/config/version` and `POST /admin/v1/config/reload`: which configuration a process works by."""

from typing import Protocol

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from switchgear.resources.snapshot import Broken

_TAGS = ["config"]


class FileState(Struct, frozen=True):
    """plugins.toml as this process knows it.

    path             where it is; None where there is none and the defaults hold
    read_us          when it was last read and found good, wall clock microseconds
    is_current       whether it is still the file that was read then; of the files it names, nothing is said
    takes_a_restart  plugins, and `gateway`, that have other settings there than in this process
    failures         what was wrong with it when it was last read, if it was; what was good before is in force
    """

    path: str | None
    read_us: int
    is_current: bool
    takes_a_restart: tuple[str, ...]
    failures: tuple[str, ...]


class ConfigVersion(Struct, frozen=True):
    """Which configuration this process works by.

    revision  writes to the store that are in force; replicas with the same one have the same resources
    live_us   when that came into force here, wall clock microseconds
    broken    how many resources are stored and cannot be used here
    """

    revision: int
    live_us: int
    broken: int
    file: FileState


class Reloaded(Struct, frozen=True):
    """What is in force after reading everything again, and the stored resources that cannot be used."""

    version: ConfigVersion
    refused: list[Broken]


class Configuration(Protocol):
    """The configuration of a process."""

    def version(self) -> ConfigVersion:
        """Say which one is in force."""
        ...

    async def reload(self) -> Reloaded:
        """Read everything again. Raises `ValidationFailed` with all that is wrong; what was good stays in force."""
        ...


def configuration_handlers(configuration: Configuration) -> list[HTTPRouteHandler]:
    """Make the routes."""

    @get(
        "/admin/v1/config/version",
        opt={"action": "read", "resource": "config"},
        sync_to_thread=False,
        summary="Which configuration this process works by",
        tags=_TAGS,
    )
    def version() -> ConfigVersion:
        return configuration.version()

    @post(
        "/admin/v1/config/reload",
        opt={"action": "reload", "resource": "config"},
        status_code=200,
        summary="Read the store's changes and plugins.toml now",
        tags=_TAGS,
    )
    async def reload() -> Reloaded:
        return await configuration.reload()

    return [version, reload]
