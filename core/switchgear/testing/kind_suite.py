"""What kinds of resource and of record must be, as tests to inherit.

    class TestMine(ResourceKindSuite):
        kind = GREETINGS
        examples = ({"text": "hello", "token": "t-canary"},)      # what a client may write; together they have every field
        secret_values = ("t-canary",)                             # what of it nobody may see again
        refused = (({"text": ""}, "/text"),)                      # what is refused, and where

    class TestMine(RecordKindSuite):
        kind = DELIVERIES
        bodies = (Delivery("1", "w1", 5, {"team": "red"}),)

A test that cannot hold is overridden with a docstring that says why.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar

import msgspec
import pytest

from switchgear.contracts.principal import operator
from switchgear.contracts.record import MEMBERS, RecordKind
from switchgear.contracts.resource import Prepared, Problem, Resource, ResourceKind
from switchgear.json_paths import put, spots

_BY = operator("suite")
_ODD: tuple[Any, ...] = (None, True, 5, -1, 1.5, "", "text", [], [None], {}, {"a": []})


class LiveView:
    """What a kind may look at: live objects by kind and id, `callable` for who answers to a name."""

    def __init__(self, objects: Mapping[tuple[str, str], Any]) -> None:
        self._objects = objects

    def live(self, kind: str, id: str) -> Any | None:
        """Return a live object."""
        return self._objects.get((kind, id))

    def callable(self, name: str) -> Any | None:
        """Return what answers to a name."""
        return self._objects.get(("callable", name))


def _as_json(spec: Any) -> Any:
    """Return what the store holds, in which a tuple is a list."""
    return msgspec.json.decode(msgspec.json.encode(spec))


class ResourceKindSuite:
    """The declaration says what is there: every path leads somewhere, every secret is named, every refusal says where.

    live    live objects of the resources that `examples` name, by (kind, id)
    inputs  for actions that take one, what a client may write
    """

    kind: ClassVar[ResourceKind[Any, Any]]
    examples: ClassVar[Sequence[Mapping[str, Any]]]
    secret_values: ClassVar[Sequence[str]] = ()
    refused: ClassVar[Sequence[tuple[Mapping[str, Any], str]]] = ()
    live: ClassVar[Mapping[tuple[str, str], Any]] = {}
    inputs: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def read(self, body: Mapping[str, Any]) -> Any:
        """Decode what a client wrote."""
        return msgspec.convert(deepcopy(dict(body)), self.kind.input or self.kind.spec)

    def stored(self, body: Mapping[str, Any]) -> Any:
        """Return the spec that is stored of it."""
        prepared = self.kind.prepare(self.read(body), None, _BY)
        assert isinstance(prepared, Prepared), "`prepare` returns `Prepared(spec, once)`"
        assert isinstance(prepared.spec, self.kind.spec), f"`prepare` makes a {self.kind.spec.__name__}"
        return prepared.spec

    def resource(self, body: Mapping[str, Any]) -> Resource[Any]:
        """Return a resource that was stored."""
        return Resource("id-1", self.stored(body), 1, 1, "api", 1, 1)

    def test_a_misspelt_field_is_refused(self) -> None:
        for body in self.examples:
            with pytest.raises(msgspec.ValidationError, match="misspelt"):
                self.read({**body, "misspelt": 1})

    def test_what_is_stored_comes_back_from_the_store(self) -> None:
        assert self.examples, "give `examples` of what a client may write"
        for body in self.examples:
            spec = self.stored(body)
            assert spec == msgspec.json.decode(msgspec.json.encode(spec), type=self.kind.spec)

    def test_every_path_that_it_declares_leads_somewhere(self) -> None:
        written = [self._secrets(body) for body in self.examples]
        declared = {path for paths in written for path in paths} | {*self.kind.hidden}
        declared |= {reference.field for reference in self.kind.references}
        declared |= set(self.kind.scope) - {"id"}
        specs = [_as_json(self.stored(body)) for body in self.examples]
        lost = sorted(path for path in declared if not any(list(spots(spec, path)) for spec in specs))
        assert not lost, (
            f"no resource of `examples` has anything at {lost}: is it misspelt, or is an example with it lacking?"
        )

    def test_every_secret_is_declared(self) -> None:
        for body in self.examples:
            left = _as_json(self.stored(body))
            for path in (*self._secrets(body), *self.kind.hidden):
                for spot, _ in list(spots(left, path)):
                    put(left, spot, "")
            shown = msgspec.json.encode(left).decode()
            leaks = [value for value in self.secret_values if value in shown]
            assert not leaks, f"{leaks} would be stored and shown in clear: name the field in `secrets` or `hidden`"

    def test_what_is_shown_once_is_declared_and_not_kept(self) -> None:
        for body in self.examples:
            prepared = self.kind.prepare(self.read(body), None, _BY)
            assert {*prepared.once} <= {*self.kind.once}, "name what `prepare` shows once in `once`"
            kept = msgspec.json.encode(prepared.spec).decode()
            assert not [it for it in prepared.once.values() if isinstance(it, str) and it in kept], (
                "what is shown once is stored in clear"
            )

    def test_writing_it_again_is_possible_and_changes_nothing_of_what_was_there(self) -> None:
        for body in self.examples:
            spec = self.stored(body)
            before = msgspec.json.encode(spec)
            again = self.kind.prepare(self.read(body), spec, _BY)
            assert isinstance(again.spec, self.kind.spec)
            assert before == msgspec.json.encode(spec), "`prepare` changed the previous spec"

    def test_good_ones_are_accepted_and_come_alive(self) -> None:
        view = LiveView(self.live)
        for body in self.examples:
            resource = self.resource(body)
            before = msgspec.json.encode(resource.spec)
            assert [] == list(self.kind.validate(resource.spec, view, _BY)), "`validate` refuses one of `examples`"
            made = self.kind.compile(resource, view)
            if self.kind.callable:
                assert callable(getattr(made, "plan", None)), (
                    "the live object of a callable kind has a `plan` (`contracts.exchange.Callable`)"
                )
                assert all(hasattr(made, name) for name in ("enabled", "created_us", "owned_by"))
            assert before == msgspec.json.encode(resource.spec), "`compile` changed the spec"

    def test_bad_ones_are_refused_where_they_are_bad(self) -> None:
        for body, pointer in self.refused:
            try:
                spec = self.stored(body)
            except (msgspec.ValidationError, ValueError):
                continue
            problems = list(self.kind.validate(spec, LiveView(self.live), _BY))
            assert all(isinstance(it, Problem) for it in problems), "`validate` returns `Problem`s"
            assert pointer in [it.pointer for it in problems], (
                f"{dict(body)} is refused at {pointer}; `validate` names {problems}"
            )

    def test_whatever_is_written_is_taken_or_refused(self) -> None:
        """What it lets in it must be able to bring alive, or refuse with a ValueError, also where what it names is gone."""
        for body in self.examples:
            for name in body:
                for value in _ODD:
                    self._write({**body, name: value})

    def test_its_keys_are_pairs_of_texts(self) -> None:
        for body in self.examples:
            keys = list(self.kind.keys(self.stored(body)))
            assert all(isinstance(index, str) and isinstance(value, str) for index, value in keys), (
                "`keys` are (index, value) of texts"
            )

    def test_its_actions_give_what_will_be_stored(self) -> None:
        for action in self.kind.actions:
            for body in self.examples:
                given = self.inputs.get(action.name)
                wanted = None if action.input is None else msgspec.convert(dict(given or {}), action.input)
                prepared = action.apply(self.resource(body), wanted, _BY)
                assert isinstance(prepared, Prepared), f"the action `{action.name}` returns `Prepared(spec, once)`"
                assert isinstance(prepared.spec, self.kind.spec), (
                    f"the action `{action.name}` makes a {self.kind.spec.__name__}"
                )
                assert {*prepared.once} <= {*self.kind.once}, (
                    f"name what the action `{action.name}` shows once in `once`"
                )

    def _secrets(self, body: Mapping[str, Any]) -> Sequence[str]:
        return self.kind.secrets(body) if callable(self.kind.secrets) else self.kind.secrets

    def _write(self, body: Mapping[str, Any]) -> None:
        """Do what a write does."""
        from switchgear.errors import ApiError  # noqa: PLC0415 - beside what uses it

        try:
            resource = self.resource(body)
            for view in (LiveView({}), LiveView(self.live)):
                if not list(self.kind.validate(resource.spec, view, _BY)):
                    self.kind.compile(resource, view)
        except (ValueError, ApiError):  # a ValidationError is one
            return
        except Exception as error:
            raise AssertionError(
                f"{dict(body)} raised {error!r}; return a `Problem` from `validate`, or raise ValueError"
            ) from error


class RecordKindSuite:
    """Records have what the kind says that they can be found and summed up by."""

    kind: ClassVar[RecordKind]
    bodies: ClassVar[Sequence[msgspec.Struct]]

    def test_records_are_of_the_type_and_come_back(self) -> None:
        assert self.bodies, "give `bodies` of records"
        for body in self.bodies:
            assert isinstance(body, self.kind.type)
            assert body == msgspec.json.decode(msgspec.json.encode(body), type=self.kind.type)
            assert isinstance(msgspec.to_builtins(body).get("id"), str), (
                "a record has an `id`, which tells those of one moment apart"
            )

    def test_dimensions_are_there_and_can_be_grouped_by(self) -> None:
        for name in self.kind.dimensions:
            values = self._values(name)
            assert values, f"no record of `bodies` has the dimension `{name}`"
            odd = [value for value in values if not isinstance(value, str | bool | int | None)]
            assert not odd, (
                f"the dimension `{name}` is {odd[:3]}, by which nothing can be grouped: have a text, a number or a truth"
            )

    def test_measures_are_there_and_can_be_summed_up(self) -> None:
        for name in self.kind.measures:
            values = self._values(name)
            assert values, f"no record of `bodies` has the measure `{name}`"
            odd = [value for value in values if value is not None and type(value) is not int]
            assert not odd, f"the measure `{name}` is {odd[:3]}: only integers are summed up"

    def _values(self, name: str) -> list[Any]:
        found: list[Any] = []
        for body in map(msgspec.to_builtins, self.bodies):
            value = body.get(name.removesuffix(MEMBERS))
            found += [*value.values()] if name.endswith(MEMBERS) and isinstance(value, dict) else [value]
        return found
