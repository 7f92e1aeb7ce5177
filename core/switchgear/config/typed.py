"""From untyped tables to a settings Struct, finding everything that is wrong at once."""

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path as FilePath
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Struct, ValidationError

from switchgear.config.source import Layers, Origin, Path, Text
from switchgear.errors import FileUnusable
from switchgear.phrasing import did_you_mean, listed, raised
from switchgear.regular import read_text

S = TypeVar("S", bound=Struct)
WRONG: Any = object()
_MOST_BYTES = 64 * 1024


class Reader:
    """Reads settings out of layers; `failures` collects what is wrong, `secret` the paths whose values are not shown."""

    def __init__(self, layers: Layers, environ: Mapping[str, str], directory: FilePath) -> None:
        self.layers = layers
        self.environ = environ
        self.directory = directory
        self.failures: list[str] = []
        self.secret: set[Path] = set()

    def fail(self, path: Path, why: str) -> None:
        """Note a failure, with the place it was said at."""
        self.failures.append(f"{self.layers.origin(path)}: [{'.'.join(path[:-1])}] {path[-1]}: {why}")

    def read(self, type: type[S], path: Path, *, reserved: Iterable[str] = ()) -> S | None:
        """Return the table at `path` as a Struct, None after noting what is wrong with it.

        `reserved` are keys of the table that are somebody else's.
        """
        self._take_variables(type, path)
        table = self.layers.table(path)
        reserved = frozenset(reserved)
        return self._struct({key: value for key, value in table.items() if key not in reserved}, type, path)

    def _take_variables(self, type: type[Struct], path: Path) -> None:
        """Let the variables that `type` knows by name speak, unless something stronger has spoken."""
        variables: Mapping[str, str] = getattr(type, "variables", {})
        for variable, dotted in variables.items():
            target = (*path, *dotted.split("."))
            if self.environ.get(variable) and not self.layers.is_overridden(target):
                self.layers.put(target, Text(self.environ[variable]), Origin("environment", variable))

    def _struct(self, table: Mapping[str, Any], type: type[S], path: Path) -> S | None:
        fields = {field.encode_name: field for field in msgspec.structs.fields(type)}
        before = len(self.failures)
        for key in table.keys() - fields.keys():
            known = f" There is {listed(fields)}." if fields else " There is nothing to set here."
            self.fail((*path, key), "there is no such setting." + (did_you_mean(key, fields) or known))
        values: dict[str, Any] = {}
        for key, field in fields.items():
            if key in table:
                value = self.value(table[key], field.type, (*path, key), _example(field))
                if value is not WRONG:
                    values[field.name] = value
            elif field.required:
                names = [v for v, dotted in getattr(type, "variables", {}).items() if dotted == key]
                hint = f", or set {' or '.join(names)}" if names else ""
                self.fail((*path, key), f"is required. Add `{key} = …` to [{'.'.join(path)}]{hint}.")
        if len(self.failures) > before:
            return None
        try:
            return type(**values)
        except (TypeError, ValueError) as error:  # what __post_init__ raises
            self.failures.append(f"{self.layers.origin(path)}: [{'.'.join(path)}]: {error}")
        except Exception as error:  # noqa: BLE001 - a plugin's own, told as a failure of its settings
            told = f"`{type.__name__}` raised {raised(error)}. Mend the plugin."
            self.failures.append(f"{self.layers.origin(path)}: [{'.'.join(path)}]: {told}")
        return None

    def value(self, value: Any, type: Any, path: Path, example: str = "") -> Any:
        """Return `value` as `type`, or `WRONG` after noting what is wrong; `example` ends the message."""
        accepted = list(_alternatives(type))
        if (
            isinstance(value, dict)
            and str in accepted
            and (value.keys() <= {"env", "default"} or value.keys() == {"file"})
        ):
            value = self._refer(value, path)
            if value is WRONG:
                return WRONG
        if isinstance(value, dict):
            struct = next((item for item in accepted if isinstance(item, _TYPE) and issubclass(item, Struct)), None)
            if struct is not None:
                nested = self._struct(value, struct, path)
                return WRONG if nested is None else nested
            mapping = next((get_args(item) for item in accepted if get_origin(item) in {dict, Mapping}), None)
            if mapping:
                value = {key: self.value(item, mapping[1], (*path, key)) for key, item in value.items()}
                if WRONG in value.values():
                    return WRONG
        if isinstance(value, list):
            sequence = next((get_args(item) for item in accepted if get_origin(item) in _SEQUENCES), None)
            if sequence:
                value = [self.value(item, sequence[0], (*path, str(at))) for at, item in enumerate(value)]
                if WRONG in value:
                    return WRONG
        return self._convert(value, type, accepted, path, example)

    def _convert(self, value: Any, type: Any, accepted: list[Any], path: Path, example: str) -> Any:
        failure: ValidationError | None = None
        for candidate in _candidates(value, accepted):
            try:
                return msgspec.convert(candidate, type, strict=not isinstance(value, Text))
            except ValidationError as error:
                failure = failure or error
        allowed = [str(value) for item in accepted if get_origin(item) is Literal for value in get_args(item)]
        self.fail(path, f"{failure}.{f' There is {listed(allowed)}.' if allowed else ''}{example}")
        return WRONG

    def _refer(self, reference: Mapping[str, Any], path: Path) -> Any:
        self.secret.add(path)
        if "file" in reference:
            file = self.directory / str(reference["file"])
            try:
                text = read_text(file, most=_MOST_BYTES).rstrip("\r\n")
            except FileUnusable as error:
                self.fail(path, f"the file {file} cannot be read: {error}. Write it, or say where it is.")
                return WRONG
            self.layers.origins[path] = Origin("file", str(file))
            return text
        name = str(reference.get("env"))
        text = self.environ.get(name, reference.get("default", WRONG))
        if text is WRONG:
            self.fail(path, f"the environment variable {name} is not set. Set it, or give `default`.")
        elif name in self.environ:
            self.layers.origins[path] = Origin("environment", name)
        return text


_TYPE = type
_SEQUENCES = (list, tuple, set, frozenset)


def _alternatives(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union, each without its `Annotated`."""
    if get_origin(annotation) is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif get_origin(annotation) in {Union, UnionType}:
        for member in get_args(annotation):
            yield from _alternatives(member)
    else:
        yield annotation


def _candidates(value: Any, accepted: list[Any]) -> Iterator[Any]:
    """Yield what a value may mean: text from outside is a string where one fits, else TOML or JSON, else as it stands."""
    if not isinstance(value, Text):
        yield value
        return
    if str not in accepted:
        try:
            yield tomllib.loads(f"v = {value}")["v"]
        except tomllib.TOMLDecodeError:
            with suppress(ValueError):  # neither: a bare string
                yield json.loads(value)
    yield str(value)
    yield value.lower()


def _example(field: msgspec.structs.FieldInfo) -> str:
    default = field.default
    if default is NODEFAULT or default is None or isinstance(default, Struct):
        return ""
    return f" For example `{field.encode_name} = {json.dumps(default)}`."
