"""Small descriptors that plugins hand to the kernel at boot."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from msgspec import Struct

from switchgear.contracts.record import RecordKind
from switchgear.contracts.store import RecordRow

Group = Literal["Resources", "Access", "Integrations", "Testing", "Operations"]
"""Headings of the navigation of consoles."""


class Task(Struct, frozen=True):
    """Something to run while the gateway serves: at once, and again `every_s` seconds after it returned.

    What `run` raises is logged and counted under the plugin's name, and it is tried again with backoff.
    """

    name: str
    every_s: float
    run: Callable[[], Awaitable[None]]

    def __post_init__(self) -> None:
        if not self.every_s > 0:
            raise ValueError(f"`every_s` of the task `{self.name}` is {self.every_s}; it must be more than 0 seconds")


class Migrations(Struct, frozen=True):
    """Numbered SQL of a plugin's own tables: `directory` holds `sqlite/0001_name.sql`, `postgres/…`; table names start
    with the namespace, which is the plugin's name. One that is `optional` about them also works over a store without tables
    (which is no `switchgear.contracts.store.Migratable`).
    """

    directory: Path
    optional: bool = False


class Seed(Struct, frozen=True):
    """A resource to create when the gateway starts over an empty store, as POST would. Lower `order` comes first, so that
    what others name exists. One that is `optional` is left out, with a line in the log, where it is refused.
    """

    kind: str
    body: dict[str, Any]
    order: int = 0
    optional: bool = False


def seeds_from_environment(
    type: str, variables: Mapping[str, str], environ: Mapping[str, str], *, id: str | None = None, **members: Any
) -> list[Seed]:
    """Make a provider of a type if its secret is in the environment; nothing if it is not.

    `variables` are the environment variables of the credential's fields. The values are not copied: the credential names
    the variables, so it needs the credential backend `env`. The provider has the type's name, or `id`, and `members`.
    """
    if not all(environ.get(variable) for variable in variables.values()):
        return []
    name = id or type.replace("_", "-")
    source = {"backend": "env", "variables": dict(variables)}
    provider = {"id": name, "type": type, "credential_id": f"{name}-env", **members}
    return [
        Seed("credentials", {"id": f"{name}-env", "type": type, "source": source}, order=-1, optional=True),
        Seed("providers", provider, order=0, optional=True),
    ]


class Serving(Struct, frozen=True):
    """How a process serves: `url` is where, `terminal` whether what it prints is seen by whoever started it and nobody else."""

    url: str
    terminal: bool


class Notice(Struct, frozen=True):
    """Something to tell whoever starts `switchgear serve`: `tell` returns the text, None if there is nothing to tell.

    A secret is told on a terminal alone; elsewhere it goes into a file that only this user can read.
    """

    tell: Callable[[Serving], Awaitable[str | None]]


class Assets(Struct, frozen=True):
    """Files of a plugin that anybody may read, at /ui/PLUGIN/PATH: what is in a directory when the gateway starts.

    Names that begin with a dot, and links out of the directory, are left out. Scripts, styles, images and fonts come from the
    gateway alone, none from a page's own text (`content-security-policy`).

    front  the file among them that answers at /ui/, to which / leads a browser: the console. One plugin at a time has one
    """

    directory: Path
    front: str | None = None


class UIPage(Struct, frozen=True):
    """A page of the admin UI.

    slug    its name in addresses
    title   its name in navigation
    module  path of a native ES module among the plugin's assets
    group   the heading of navigation that it stands under
    kind    the kind of resource that it is about, whose generated page it then replaces in navigation
    panel   whether it is a tab of each resource of that kind instead: in no navigation, and shown with the resource's id. One
            with the slug `edit` stands in for the form that the kind has, also where a new one is made
    needs   the resource of the admin API, by the name that its routes declare, that one must be allowed to read to see the page.
            None: the `kind`, or else `config`, the gateway's configuration; "": everybody who is signed in sees the page
    """

    slug: str
    title: str
    module: str
    group: Group = "Operations"
    kind: str | None = None
    panel: bool = False
    needs: str | None = None

    @property
    def name(self) -> str:
        """What it is told by among those of its plugin."""
        return f"{self.kind}/{self.slug}" if self.panel else self.slug


class RecordSink(Protocol):
    """Somewhere records go besides the store, after the store has them: at least once, each kind in order, also over a restart.

    What it has not taken waits in a journal of its own; once that has grown to `[gateway.journal] cap_bytes`, the store waits
    for it too.
    """

    kinds: frozenset[str]
    """Names of the kinds of record it wants; empty for all."""

    async def write(self, kind: RecordKind, rows: Sequence[RecordRow]) -> None:
        """Take a batch. Raising means try again later; it is counted and logged under the plugin's name."""
        ...
