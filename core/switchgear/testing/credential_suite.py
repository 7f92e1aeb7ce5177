"""What every credential backend must do, as tests to inherit.

    class TestMine(CredentialBackendSuite):
        source = {"backend": "mine", "path": "a"}      # a source whose secret is there
        values = {"api_key": "…"}                      # that secret
        absent = {"backend": "mine", "path": "b"}      # a source whose secret is not there
        def make(self): return MyBackend(…)

and pytest runs it. A test that cannot hold is overridden with a docstring that says why.
"""

import logging
import pickle
from collections.abc import Mapping
from copy import deepcopy
from io import StringIO
from typing import Any, ClassVar

import msgspec
import pytest

from switchgear.contracts.credential import CredentialBackend, Secret
from switchgear.errors import SecretUnavailable
from switchgear.testing.marks import asyncio_tests


@asyncio_tests
class CredentialBackendSuite:
    """Inherit, fill in `source`, `values`, `absent` and `make`."""

    source: ClassVar[Mapping[str, Any]]
    values: ClassVar[Mapping[str, str]]
    absent: ClassVar[Mapping[str, Any]]

    def make(self) -> CredentialBackend:
        """Make the backend over a place that holds `values` for `source`."""
        raise AssertionError("override `make` to return the credential backend under test")

    @pytest.fixture
    def backend(self) -> CredentialBackend:
        """The backend under test."""
        return self.make()

    def decoded(self, source: Mapping[str, Any]) -> Any:
        """Return a source as the resource engine hands it over."""
        return msgspec.convert(source, self.make().source_type)

    async def test_fetch_returns_the_fields(self, backend: CredentialBackend) -> None:
        secret = await backend.fetch("credential-1", self.decoded(self.source))
        assert isinstance(secret, Secret), "`fetch` returns a `Secret`, which shows nothing of what it holds"
        assert dict(self.values) == dict(secret)

    async def test_fetching_again_gives_the_same_values_and_version(self, backend: CredentialBackend) -> None:
        first = await backend.fetch("credential-1", self.decoded(self.source))
        again = await backend.fetch("credential-1", self.decoded(self.source))
        assert (dict(first), first.version) == (dict(again), again.version)

    async def test_a_secret_that_is_not_there_is_unavailable_and_says_whose(self, backend: CredentialBackend) -> None:
        with pytest.raises(SecretUnavailable) as caught:
            await backend.fetch("credential-1", self.decoded(self.absent))
        assert "credential-1" in str(caught.value)

    async def test_no_value_shows_in_repr_errors_or_logs(self, backend: CredentialBackend) -> None:
        logged = StringIO()
        handler, root = logging.StreamHandler(logged), logging.getLogger()
        level = root.level
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        try:
            secret = await backend.fetch("credential-1", self.decoded(self.source))
            with pytest.raises(SecretUnavailable) as caught:
                await backend.fetch("credential-1", self.decoded(self.absent))
        finally:
            root.removeHandler(handler)
            root.setLevel(level)
        shown = [repr(secret), str(secret), f"{secret}", repr(backend)]
        shown += [str(caught.value), repr(caught.value.__cause__), logged.getvalue()]
        leaks = [text for text in shown for value in self.values.values() if value in text]
        assert leaks == [], "what a secret holds is shown"

    async def test_a_secret_is_neither_pickled_nor_encoded(self, backend: CredentialBackend) -> None:
        secret = await backend.fetch("credential-1", self.decoded(self.source))
        with pytest.raises(TypeError):
            pickle.dumps(secret)
        with pytest.raises(TypeError):
            msgspec.json.encode(secret)

    def test_the_source_is_a_struct_tagged_backend(self, backend: CredentialBackend) -> None:
        config = backend.source_type.__struct_config__
        assert ("backend", self.source["backend"]) == (config.tag_field, config.tag)

    def test_a_misspelt_field_of_the_source_is_refused(self, backend: CredentialBackend) -> None:
        with pytest.raises(msgspec.ValidationError, match="misspelt"):
            msgspec.convert({**self.source, "misspelt": 1}, backend.source_type)

    def test_the_secret_fields_are_where_the_source_says(self, backend: CredentialBackend) -> None:
        """Every secret a source holds must be declared, or it would be stored in clear and shown."""
        left = deepcopy(dict(self.source))
        for path in backend.secret_fields:
            _blank(left, path.split("."))
        held = msgspec.json.encode(left).decode()
        assert [value for value in self.values.values() if value in held] == [], "name the fields in `secret_fields`"


def _blank(body: Any, parts: list[str]) -> None:
    head, rest = parts[0], parts[1:]
    names = list(body) if head == "*" else [head] if head in body else []
    for name in names:
        if rest:
            _blank(body[name], rest)
        else:
            body[name] = ""
