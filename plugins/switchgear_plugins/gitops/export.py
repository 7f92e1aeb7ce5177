"""Resources written as a file that `apply` takes."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import tomli_w
import yaml

from switchgear.contracts.declared import Exported
from switchgear.errors import ConfigError

Format = Literal["toml", "json", "yaml"]


def to_text(exported: Exported, format: Format) -> str:
    """Write a file; a comment names the secrets that are not in it. Raises `ConfigError` for what TOML cannot say."""
    if format == "toml" and exported.nulls:
        where, name = exported.nulls[0]
        raise ConfigError(f"{where}: TOML cannot say that `{name}` is null; export as yaml or json")
    return _note(exported.left_out, format) + _encoded(exported.content, format)


def _note(left_out: Sequence[str], format: Format) -> str:
    if not left_out or format == "json":
        return ""
    lines = [
        'Secrets are not exported. Where they are stored, applying keeps them; elsewhere add each as {env = "NAME"}:',
        *left_out,
    ]
    return "".join(f"# {line}\n" for line in lines) + "\n"


def _encoded(content: dict[str, Any], format: Format) -> str:
    if format == "json":
        return msgspec.json.format(msgspec.json.encode(content)).decode() + "\n"
    if format == "yaml":
        return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True)) if content else ""
    return tomli_w.dumps(_without_nulls(content))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        if None in value:
            raise ConfigError("TOML has no null and a list holds one; export as yaml or json")
        return [_without_nulls(item) for item in value]
    return value
