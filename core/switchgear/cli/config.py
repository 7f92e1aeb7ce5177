import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click
import msgspec

from switchgear.cli.common import answer, booted, config_option, gateway_flags, json_option
from switchgear.config import Path as Keys
from switchgear.discovery import Discovery, load
from switchgear.errors import PluginError
from switchgear.introspection import effective
from switchgear.settings import GatewaySettings


@click.group()
def config() -> None:
    """Check, show and describe the configuration."""


@config.command()
@config_option
@json_option
def check(*, path: Path | None, as_json: bool) -> None:
    """Find everything wrong with plugins.toml and its plugins, without starting the gateway."""
    kernel = booted(path)
    source = str(kernel.config.source or "the default configuration")
    plugins = [item.installed.name for item in kernel.plugins]
    if as_json:
        answer({"ok": True, "source": source, "plugins": plugins, "warnings": kernel.warnings})
        return
    for warning in kernel.warnings:
        click.secho(warning, fg="yellow")
    click.echo(f"{source} is good: {len(plugins)} plugins enabled" + (f" ({', '.join(plugins)})." if plugins else "."))


@config.command()
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
@config_option
@gateway_flags("host", "port", "data_dir", "log_level")
@json_option
def show(*, path: Path | None, flags: dict[str, str], origin: bool, as_json: bool) -> None:
    """Show every setting in effect, with secrets masked."""
    rows = list(effective(booted(path, flags)))
    if as_json:
        answer({".".join(keys): {"value": value, "origin": str(origin)} for keys, value, origin in rows})
        return
    table: Keys = ()
    for keys, value, said in rows:
        if keys[:-1] != table:
            click.echo(("\n" if table else "") + f"[{'.'.join(keys[:-1])}]")
            table = keys[:-1]
        line = f"# {keys[-1]} is not set" if value is None else f"{keys[-1]} = {_toml(value)}"
        click.echo(f"{line:<50} # {said}" if origin else line)


@config.command()
def schema() -> None:
    """Print the JSON Schema of plugins.toml.

    With the settings of every installed plugin that can be imported, enabled or not.
    """
    types: dict[str, Any] = {}
    plugins: dict[str, Any] = {}
    for installed in Discovery():
        try:
            types[installed.name] = load(installed).settings_type
        except PluginError as error:
            plugins[installed.name] = {"type": "object", "description": str(error)}
    (gateway, *tables), definitions = msgspec.json.schema_components(
        [GatewaySettings, *types.values()], ref_template="#/$defs/{name}"
    )
    definitions = {name: _with_references(definition) for name, definition in definitions.items()}
    definitions |= _OURS
    for name, table in zip(types, tables, strict=True):
        settings = definitions[table["$ref"].rpartition("/")[2]]
        plugins[name] = settings | {
            "properties": {"enabled": {"$ref": "#/$defs/_enabled"}} | settings["properties"],
            "required": ["enabled", *settings.get("required", ())],
        }
    answer(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "plugins.toml",
            "type": "object",
            "properties": {"gateway": gateway, "plugins": {"type": "object", "properties": plugins}},
            "additionalProperties": False,
            "$defs": definitions,
        }
    )


_TEXT = {"type": "string"}
_OURS: Mapping[str, Any] = MappingProxyType(
    {
        "_reference": {
            "description": "A value that is kept elsewhere: in an environment variable or a file.",
            "anyOf": [
                {"type": "object", "properties": {"env": _TEXT, "default": _TEXT}, "required": ["env"]},
                {"type": "object", "properties": {"file": _TEXT}, "required": ["file"]},
            ],
        },
        "_enabled": {
            "description": "Whether the plugin is used, or on which environment variable that depends.",
            "anyOf": [
                {"type": "boolean"},
                {"type": "object", "properties": {"env": _TEXT, "prefix": _TEXT}, "required": ["env"]},
                {"type": "object", "properties": {"unless": _TEXT, "prefix": _TEXT}, "required": ["unless"]},
            ],
        },
    }
)


def _with_references(schema: Any) -> Any:
    """Let every setting that takes a string take a reference to one as well."""
    if isinstance(schema, list):
        return [_with_references(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "string":
        return {"anyOf": [schema, {"$ref": "#/$defs/_reference"}]}
    return {key: value if key == "default" else _with_references(value) for key, value in schema.items()}


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)  # JSON's scalars are TOML's
