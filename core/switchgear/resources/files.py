"""Resources written in files, for those who keep configuration in version control.

A file is TOML, JSON or YAML, by its suffix. Its top level holds kinds, each a list of resources or a table of them by id:

    [[providers]]                     [models.small]                kind: pools
    id = "main"                       provider_id = "main"          id: fast
    base_url = "https://…"            provider_model = "small-1"    targets: [{model: small}]

or the file is one resource that says its `kind` and `id` itself, as on the right; YAML may hold several documents. A secret
is written `{env = "NAME"}` or `{file = "path"}`, the path being relative to the file it stands in; one that is left out keeps
the value that is stored. Files in hidden directories, and those with other suffixes, are passed over.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from switchgear.contracts.resource import ResourceKind
from switchgear.errors import ConfigError, InvalidRequest
from switchgear.resources import paths
from switchgear.resources.body import parse_json
from switchgear.resources.sealing import secret_paths
from switchgear.wording import or_rather

SUFFIXES = (".toml", ".json", ".yaml", ".yml")


class Declared(Struct, frozen=True):
    """One resource as a file has it. `origin` is the file's name below what was asked for, `source` what was asked for."""

    kind: str
    id: str
    body: dict[str, Any]
    origin: str
    source: str


def read_files(
    sources: Sequence[Path], kinds: Mapping[str, ResourceKind[Any, Any]], *, name: str | None = None
) -> list[Declared]:
    """Read files and directories. Raises `ConfigError` with everything that is wrong in any of them.

    `name` is what ownership is recorded under; by default each source's last component.
    """
    failures: list[str] = []
    found: dict[tuple[str, str], Declared] = {}
    for source in sources:
        for path in _files(source, failures):
            under = name or source.resolve().name
            origin = under if path == source else f"{under}/{path.relative_to(source).as_posix()}"
            for kind, id_, body in _resources(path, kinds, failures):
                if (kind, id_) in found:
                    failures.append(f"{path}: {kind}/{id_} is also in {found[kind, id_].origin}; keep one")
                found[kind, id_] = Declared(
                    kind, id_, _with_secrets(path, kinds[kind], id_, body, failures), origin, under
                )
    if failures:
        raise ConfigError(*failures)
    return list(found.values())


def _files(source: Path, failures: list[str]) -> Iterator[Path]:
    if source.is_file():
        yield source
    elif source.is_dir():
        for path in sorted(source.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(source).parts)
            if path.suffix in SUFFIXES and not hidden and path.is_file():
                yield path
    else:
        failures.append(f"{source}: there is no such file or directory")


def _resources(
    path: Path, kinds: Mapping[str, ResourceKind[Any, Any]], failures: list[str]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    try:
        documents = _parse(path)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, yaml.YAMLError, InvalidRequest) as error:
        failures.append(f"{path}{_line(error)}: {_words(error)}")
        return
    for document in documents:
        for kind, id_, body in _flat(document):
            if kind not in kinds:
                failures.append(f"{path}: there is no kind `{kind}`{or_rather(str(kind), kinds)}")
            elif body is None and id_ is None:
                continue  # a kind with nothing in it
            elif not isinstance(body, dict):
                failures.append(f"{path}: {kind}/{id_}: a resource is a table of its fields")
            elif not isinstance(id_, str):
                failures.append(f"{path}: {kind}: every resource needs an `id`, a string")
            else:
                yield kind, id_, _dates_as_text(body)


def _parse(path: Path) -> list[Any]:
    raw = path.read_bytes()
    if path.suffix == ".toml":
        return [tomllib.loads(raw.decode())]
    if path.suffix == ".json":
        return [parse_json(raw)]
    if path.suffix in SUFFIXES:
        return [document for document in yaml.load_all(raw.decode(), _UniqueKeys) if document is not None]
    raise InvalidRequest(f"what this is cannot be told; name it {', '.join(f'*{suffix}' for suffix in SUFFIXES)}")


def _flat(document: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yield (kind, id, body) of every resource in a document, checked by nobody yet."""
    if isinstance(document, list):
        for item in document:
            yield from _flat(item)
    elif not isinstance(document, dict):
        yield str(document)[:80], None, None
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


def _with_secrets(
    path: Path, kind: ResourceKind[Any, Any], id: str, body: dict[str, Any], failures: list[str]
) -> dict[str, Any]:
    for pattern in secret_paths(kind, body):
        for spot, value in list(paths.spots(body, pattern)):
            if not (isinstance(value, dict) and len(value) == 1 and value.keys() <= {"env", "file"}):
                continue
            [(where, name)] = value.items()
            try:
                text = os.environ[name] if where == "env" else (path.parent / name).read_text().rstrip("\r\n")
                paths.put(body, spot, text)
            except KeyError:
                failures.append(f"{path}: {kind.name}/{id}{paths.pointer(spot)}: the variable {name} is not set")
            except (OSError, TypeError, ValueError) as error:
                failures.append(f"{path}: {kind.name}/{id}{paths.pointer(spot)}: {name} cannot be read ({error})")
    return body


def _dates_as_text(value: Any) -> Any:
    """Write the dates that TOML and YAML know as the strings that JSON has for them."""
    if isinstance(value, dict):
        return {name: _dates_as_text(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_dates_as_text(item) for item in value]
    return value.isoformat() if isinstance(value, datetime | date | time) else value


class _UniqueKeys(yaml.SafeLoader):
    """A safe loader that does not let the last of two equal keys win."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key_node.tag != "tag:yaml.org,2002:merge" and json.dumps(key, default=str) in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} is written twice", key_node.start_mark)
            seen.add(json.dumps(key, default=str))
        made: dict[Any, Any] = super().construct_mapping(node, deep)
        return made


def _line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f":{mark.line + 1}"
    found = re.search(r"\bline (\d+)", str(error))
    return f":{found[1]}" if found else ""


def _words(error: Exception) -> str:
    return str(getattr(error, "problem", None) or error).replace("the body is not", "this is not")
