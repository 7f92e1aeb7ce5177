from types import SimpleNamespace

import msgspec
import pytest
from switchgear_plugin_name.plugin import PLUGIN_NAMES, Greeting, compiled


def test_is_made_of_what_was_written() -> None:
    assert Greeting("hello") == msgspec.convert({"text": "hello"}, PLUGIN_NAMES.spec)
    with pytest.raises(msgspec.ValidationError, match="txt"):
        msgspec.convert({"text": "hello", "txt": 1}, PLUGIN_NAMES.spec)


def test_is_compiled_or_refused() -> None:
    assert "HELLO" == compiled(SimpleNamespace(spec=Greeting("hello")), None)
    with pytest.raises(ValueError, match="says nothing"):
        compiled(SimpleNamespace(spec=Greeting(" ")), None)


def test_its_references_are_fields_of_it() -> None:
    assert {reference.field for reference in PLUGIN_NAMES.references} <= set(Greeting.__struct_fields__)
