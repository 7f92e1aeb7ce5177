"""Adapters for plugins written for an older API: each makes a class of that API into one of the current API."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from switchgear.plugin import Plugin

Adapter = Callable[[type[Plugin[Any]]], type[Plugin[Any]]]

ADAPTERS: Mapping[int, Adapter] = MappingProxyType({})
"""By the API number the plugin was written for. Empty while there is only one."""
