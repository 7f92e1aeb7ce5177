"""Resources written in files, for those who keep configuration in version control.

A file is TOML, JSON or YAML, by its suffix. Its top level holds kinds, each a list of resources or a table of them by id:

    [[providers]]                     [models.small]                kind: pools
    id = "main"                       provider_id = "main"          id: fast
    base_url = "https://…"            provider_model = "small-1"    targets: [{model: small}]

or the file is one resource that says its `kind` and `id` itself, as on the right; YAML may hold several documents. A secret
is written `{env = "NAME"}` or `{file = "path"}`, the path being relative to the file it stands in; one that is left out keeps
the value that is stored. Files in hidden directories, and those with other suffixes, are passed over.

Who writes such a file need not be who runs the gateway, so what it may name is bounded (`Allowed`), links that lead out of what
was asked for are not followed, and messages quote nothing that a file holds but the names of kinds and ids.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from switchgear import json_paths as paths
from switchgear.admin.bodies import MAX_DEPTH, parse_json
from switchgear.contracts.declared import Declared
from switchgear.contracts.resource import ResourceKind
from switchgear.errors import ConfigError, FileUnusable, InvalidRequest
from switchgear.phrasing import or_rather
from switchgear.regular import read_text

SUFFIXES = (".toml", ".json", ".yaml", ".yml")
OWN_VARIABLES = ("SWITCHGEAR_*", "ADMIN_*")
"""Variables that hold the gateway's own keys: no file may name them, whatever is allowed."""
_MOST_BYTES = 16 * 1024 * 1024
_MOST_SECRET_BYTES = 64 * 1024
_MOST_VALUES = 500_000
"""Values in one file, its aliases written out."""
_MOST_MEMBERS = 10_000
_KIND = re.compile(r"[a-z][a-z0-9-]{0,40}")


class Allowed(Struct, frozen=True):
    """What `{env = …}` and `{file = …}` may name: variables by shell patterns, in `env` and not in `not_env`; files below the
    folder of what is applied or below one of `folders`, but not below `not_below`. What is read may not be one of `not_values`.
    """

    environ: Mapping[str, str] = {}
    env: tuple[str, ...] = ("*",)
    not_env: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    not_below: tuple[Path, ...] = ()
    not_values: frozenset[str] = frozenset()

    def read(self, table: Mapping[str, Any], file: Path, folder: Path) -> str:
        """Return what `{env = …}` or `{file = …}` in `file` stands for. Raises `FileUnusable`."""
        [(where, name)] = table.items()
        if not isinstance(name, str):
            raise FileUnusable(f"`{where}` is a string")
        text = self._variable(name) if where == "env" else self._file(name, file, folder)
        if text in self.not_values:
            raise FileUnusable(f"{name} holds a key of the gateway itself, which no resource may have")
        return text

    def _variable(self, name: str) -> str:
        matching = any(fnmatchcase(name, pattern) for pattern in self.env)
        if not matching or any(fnmatchcase(name, pattern) for pattern in (*self.not_env, *OWN_VARIABLES)):
            raise FileUnusable(
                f"the variable {name} may not be read by files; [plugins.gitops] of plugins.toml says which may"
            )
        if name not in self.environ:
            raise FileUnusable(f"the variable {name} is not set")
        return self.environ[name]

    def _file(self, name: str, file: Path, folder: Path) -> str:
        try:
            meant = (file.parent / name).resolve()
        except (OSError, RuntimeError, ValueError):  # a loop of links, a NUL
            raise FileUnusable(f"{name} cannot be read: it leads nowhere") from None
        inside = any(meant.is_relative_to(allowed.resolve()) for allowed in (folder, *self.folders))
        if not inside or any(meant.is_relative_to(closed.resolve()) for closed in self.not_below):
            raise FileUnusable(
                f"{name} may not be read by files: only what is below {folder}, and below the allow_paths of [plugins.gitops] in "
                "plugins.toml"
            )
        try:
            return read_text(meant, most=_MOST_SECRET_BYTES, follow=False).rstrip("\r\n")
        except FileUnusable as error:
            raise FileUnusable(f"{name} cannot be read: {error}") from None


_BELOW_THE_FOLDER = Allowed()


def read_files(
    sources: Sequence[Path],
    kinds: Mapping[str, ResourceKind[Any, Any]],
    *,
    name: str | None = None,
    allowed: Allowed = _BELOW_THE_FOLDER,
) -> list[Declared]:
    """Read files and directories. Raises `ConfigError` with everything that is wrong in any of them.

    `name` is what ownership is recorded under; by default each source's last component. `allowed` bounds what they may name.
    """
    failures: list[str] = []
    found: dict[tuple[str, str], Declared] = {}
    for source in sources:
        for path in _files(source, failures):
            under = name or source.resolve().name
            folder = source if source.is_dir() else source.parent
            origin = under if path == source else f"{under}/{path.relative_to(source).as_posix()}"
            for kind, id_, body in _resources(path, kinds, failures):
                if (kind, id_) in found:
                    failures.append(f"{path}: {kind}/{id_} is also in {found[kind, id_].origin}; keep one")
                named = _Secrets(path, folder, allowed)
                found[kind, id_] = Declared(kind, id_, named.put(kinds[kind], id_, body, failures), origin, under)
    if failures:
        raise ConfigError(*failures)
    return list(found.values())


def _files(source: Path, failures: list[str]) -> Iterator[Path]:
    if not source.exists():
        failures.append(f"{source}: there is no such file or directory")
    elif not source.is_dir():
        yield source
    else:
        inside = source.resolve()
        for path in sorted(source.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(source).parts)
            if path.suffix not in SUFFIXES or hidden or not path.is_file():
                continue
            if path.resolve().is_relative_to(inside):
                yield path
            else:
                failures.append(f"{path}: this is a link that leads out of {source}, and is not followed")


def _resources(
    path: Path, kinds: Mapping[str, ResourceKind[Any, Any]], failures: list[str]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    try:
        documents = _plain(_parse(path))
    except (FileUnusable, yaml.YAMLError, InvalidRequest, RecursionError, ValueError, OverflowError) as error:
        failures.append(f"{path}{_line(error)}: {_words(error)}")
        return
    for document in documents:
        for kind, id_, body in _flat(document):
            if not isinstance(kind, str) or not _KIND.fullmatch(kind):
                failures.append(
                    f"{path}: there is no kind where one should stand; a file is a table of kinds, or names its `kind`"
                )
            elif kind not in kinds:
                failures.append(f"{path}: there is no kind `{kind}`{or_rather(kind, kinds)}")
            elif body is None and id_ is None:
                continue  # a kind with nothing in it
            elif not isinstance(body, dict):
                failures.append(f"{path}: {kind}/{id_}: a resource is a table of its fields")
            elif not isinstance(id_, str):
                failures.append(f"{path}: {kind}: every resource needs an `id`, a string")
            else:
                yield kind, id_, body


def _parse(path: Path) -> list[Any]:
    text = read_text(path, most=_MOST_BYTES)
    if path.suffix == ".toml":
        return [tomllib.loads(text)]
    if path.suffix == ".json":
        return [parse_json(text.encode())]
    if path.suffix in SUFFIXES:
        return [document for document in yaml.load_all(text, _UniqueKeys) if document is not None]
    raise InvalidRequest(f"what this is cannot be told; name it {', '.join(f'*{suffix}' for suffix in SUFFIXES)}")


def _flat(document: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yield (kind, id, body) of every resource in a document, checked by nobody yet."""
    if isinstance(document, list):
        for item in document:
            yield from _flat(item)
    elif not isinstance(document, dict):
        yield None, None, None
    elif isinstance(document.get("kind"), str):
        yield document["kind"], document.get("id"), _less(document, "kind", "id")
    else:
        for kind, held in document.items():
            yield kind, None, None  # so that a misspelt kind is found even with nothing in it
            for id_, body in _members(held):
                yield kind, id_, body


def _members(held: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (id, body) of what stands under a kind: a list of resources or a table of them by id."""
    if isinstance(held, dict):
        yield from held.items()
    elif isinstance(held, list):
        for item in held:
            yield (item.get("id"), _less(item, "id")) if isinstance(item, dict) else (None, item)
    elif held is not None:
        yield None, held


def _less(table: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name not in names}


class _Secrets:
    """Puts what `{env = …}` and `{file = …}` stand for where they stand."""

    def __init__(self, path: Path, folder: Path, allowed: Allowed) -> None:
        self._path = path
        self._folder = folder
        self._allowed = allowed

    def put(self, kind: ResourceKind[Any, Any], id: str, body: dict[str, Any], failures: list[str]) -> dict[str, Any]:
        for pattern in kind.secrets(body) if callable(kind.secrets) else kind.secrets:
            for spot, value in list(paths.spots(body, pattern)):
                if not (isinstance(value, dict) and len(value) == 1 and value.keys() <= {"env", "file"}):
                    continue
                try:
                    paths.put(body, spot, self._allowed.read(value, self._path, self._folder))
                except FileUnusable as error:
                    failures.append(f"{self._path}: {kind.name}/{id}{paths.pointer(spot)}: {error}")
        return body


def _plain(documents: list[Any]) -> list[Any]:
    """Write the dates that TOML and YAML know as the strings that JSON has for them, and aliases out. Raises `InvalidRequest` for
    more values, or more levels, than anybody writes.
    """
    left = _MOST_VALUES

    def plain(value: Any, level: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise InvalidRequest(f"this is more than {_MOST_VALUES} values, with its aliases written out")
        if level > MAX_DEPTH + 3:
            raise InvalidRequest(f"this is nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, dict):
            return {name: plain(item, level + 1) for name, item in value.items()}
        if isinstance(value, list):
            return [plain(item, level + 1) for item in value]
        return value.isoformat() if isinstance(value, datetime | date | time) else value

    return [plain(document, 0) for document in documents]


class _UniqueKeys(yaml.SafeLoader):
    """A safe loader that does not let the last of two equal keys win."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if json.dumps(key, default=str) in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} is written twice", key_node.start_mark)
            seen.add(json.dumps(key, default=str))
        made: dict[Any, Any] = super().construct_mapping(node, deep)
        return made

    def flatten_mapping(self, node: Any) -> None:
        """Merge what `<<` names, which may double with each level."""
        super().flatten_mapping(node)
        if len(node.value) > _MOST_MEMBERS:
            raise yaml.constructor.ConstructorError(None, None, "too much is merged into one table", node.start_mark)


def _line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f":{mark.line + 1}"
    found = re.search(r"\bline (\d+)", str(error))
    return f":{found[1]}" if found else ""


def _words(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return f"this is nested deeper than {MAX_DEPTH} levels"
    if isinstance(error, (ValueError, OverflowError)) and not isinstance(error, tomllib.TOMLDecodeError):
        return "this has a number or a date that is none"  # of thousands of digits; of no calendar
    return str(getattr(error, "problem", None) or error).replace("the body is not", "this is not")
