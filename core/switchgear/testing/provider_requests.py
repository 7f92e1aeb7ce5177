"""The part of `ProviderSuite` that is about what is sent: nothing that a client said may be lost without a word."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import pytest
from msgspec import Raw, structs

from switchgear.contracts.capability import TOOLS
from switchgear.contracts.provider import CANONICAL, Call, TargetModel
from switchgear.errors import InvalidRequest
from switchgear.testing.provider_bench import Path, ProviderChecks, chat_call, is_in, walk, words_of


class Said(NamedTuple):
    """A member of a chat, values of it that mean different things and not what its absence means, and what goes with it."""

    name: str
    values: tuple[Any, ...]
    beside: Mapping[str, Any] = {}


def _function(name: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"canary_city": {"type": "string"}}, "required": ["canary_city"]}
    return {"type": "function", "function": {"name": name, "description": "canary-what-for", "parameters": parameters}}


_TOOLS: dict[str, Any] = {"tools": [_function("canary_weather"), _function("canary_time")]}
_SCHEMA = {"type": "object", "properties": {"canary_field": {"type": "string"}}, "required": ["canary_field"]}
MEMBERS = (
    Said("temperature", (0.73, 0.21)),
    Said("top_p", (0.62, 0.31)),
    Said("stop", (["canary-stop-a"], ["canary-stop-b", "canary-stop-c"])),
    Said("seed", (918_273, 736_455)),
    Said("n", (3, 2)),
    Said("max_tokens", (321, 654)),
    Said("max_completion_tokens", (321, 654)),
    Said("presence_penalty", (0.37, 0.83)),
    Said("frequency_penalty", (0.37, 0.83)),
    Said("logprobs", (True,)),
    Said("top_logprobs", (3,), {"logprobs": True}),
    Said("logit_bias", ({"50256": -100}, {"50256": 5})),
    Said("reasoning_effort", ("low",)),
    Said("response_format", ({"type": "json_object"}, {"type": "json_schema", "json_schema": {"name": "a", "schema": _SCHEMA}})),
    Said("tools", (_TOOLS["tools"], [_function("canary_other")])),
    Said("tool_choice", ("none", "required", {"type": "function", "function": {"name": "canary_weather"}}), _TOOLS),
    Said("parallel_tool_calls", (False,), _TOOLS),
    Said("user", ("canary-user-a", "canary-user-b")),
    Said("metadata", ({"canary": "a"}, {"canary": "b"})),
    Said("service_tier", ("flex",)),
    Said("a_member_that_nobody_knows", ("canary-a", "canary-b")),
)  # fmt: skip
"""Members of a canonical chat that say something each, in values that every provider's range has."""

_ARGUMENTS = {"canary_city": "canary-paris"}
_NO_OBJECTS = (
    "", "null", "5", '"canary"', '["canary"]', "not JSON", '{"canary_city":', '{"canary_city":"a"} and more',
    '{"canary_city":"a"},"canary_injected":{"b":1}', '{"canary_city":"a"}],"canary_injected":["b"', "[" * 3000,
)  # fmt: skip
_PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def _history(arguments: str) -> list[dict[str, Any]]:
    call = {"id": "call_1", "type": "function", "function": {"name": "canary_weather", "arguments": arguments}}
    return [
        {"role": "user", "content": "How is it?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "canary-result"},
    ]


def _is_arguments(value: Any) -> bool:
    if isinstance(value, str) and "canary" in value:
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError:
            return False
    return bool(value == _ARGUMENTS)


def _at(body: Any, path: Path) -> Any:
    for step in path:
        try:
            body = body[step]
        except (LookupError, TypeError):
            return None
    return body


class RequestSuite(ProviderChecks):
    """What a client said is carried, dropped by name or refused; who is asked, and for what, is said."""

    def check_refusal(self, refused: InvalidRequest, member: str) -> None:
        """Fail unless a refusal names the member."""
        param = refused.param or ""
        assert param.startswith(member), f"it refuses `{member}` and names `{param}`: set `param` of InvalidRequest"

    def test_its_traits_name_wires_that_it_has(self) -> None:
        provider = self.make()
        assert isinstance(provider.wires, frozenset), "`wires` is a frozenset of names"
        for name in (self.model.name, f"{self.model.name}-2"):
            traits = provider.traits(name)
            assert traits.wires, f"`traits({name!r})` names no wire, so the model could not be asked"
            assert traits.wires <= provider.wires, (
                f"`traits({name!r})` names {set(traits.wires - provider.wires)}, which `wires` lacks"
            )
            assert all(isinstance(it, str) for it in traits.capabilities), "capabilities are names"
        assert CANONICAL in provider.traits(self.model.name).wires, (
            f"`model` must be one that is spoken to in {CANONICAL!r}"
        )

    @pytest.mark.parametrize("stream", [False, True])
    def test_prepares_a_request_that_can_be_sent(self, stream: bool) -> None:  # noqa: FBT001 - a pytest parameter
        call = chat_call(stream=stream, temperature=0.5)
        before = dict(call.members)
        request = self.prepare(call)
        assert request.url.startswith(("https://", "http://"))
        assert request.method in ("POST", "GET")
        for name, value in request.headers.items():
            assert name == name.lower(), f"the header `{name}` must be in lower case"
            assert value.isprintable(), f"the header `{name}` has characters that no header can have"
        assert b"Say hello" in request.whole_body(), "what the user says is not sent"
        assert before == call.members, "prepare changed the call, which a fallback needs again"

    def test_says_the_same_for_the_same_call(self) -> None:
        first, second = (self.prepare(chat_call()) for _ in range(2))
        assert first == second, "the same call must give the same request; take time and ids from `config.ambient`"

    def test_says_which_model_is_asked(self) -> None:
        request = self.prepare(chat_call())
        other = structs.replace(self.model, name=f"{self.model.name}-2")
        other = structs.replace(other, name_json=Raw(msgspec.json.encode(other.name)))
        assert is_in(self.model.name, request), "send `model.name`, the provider's name of the model"
        assert is_in(other.name, self.prepare(chat_call(), other)), "send `model.name`, not a name of your own"

    def test_says_whether_a_stream_is_wanted(self) -> None:
        assert self.prepare(chat_call()) != self.prepare(chat_call(stream=True)), (
            "the request for a stream is the one for a whole answer; say in it that `call.stream` is wanted"
        )

    @pytest.mark.parametrize("said", MEMBERS, ids=lambda said: said.name)
    def test_a_member_is_carried_or_dropped_by_name_or_refused(self, said: Said) -> None:
        if said.name in self.needless:
            return
        try:
            requests = [self.prepare(chat_call(**said.beside))]
        except InvalidRequest:
            return  # what goes with it is refused, so it is never asked for
        for value in said.values:
            call = chat_call(**{**said.beside, said.name: value})
            try:
                request = self.prepare(call)
            except InvalidRequest as refused:
                self.check_refusal(refused, said.name)
                continue
            if any(name.partition(".")[0].partition("[")[0] == said.name for name in (*call.dropped, *call.changed)):
                continue
            assert request not in requests, (
                f"`{said.name}: {value}` was lost: the request is the same without it, or with another value. Carry it, "
                f"name it with `call.drop({said.name!r})` (`switchgear.wire.canonical.drop_others`), or raise InvalidRequest"
            )
            requests.append(request)

    def test_what_it_drops_is_refused_to_the_strict(self) -> None:
        for said in MEMBERS:
            members = {**said.beside, said.name: said.values[0]}
            lenient = chat_call(**members)
            try:
                self.prepare(lenient)
            except InvalidRequest:
                continue
            if lenient.dropped or lenient.changed:
                with pytest.raises(InvalidRequest):
                    self.prepare(chat_call(strict=True, **members))

    def test_a_null_is_what_is_left_out(self) -> None:
        for said in MEMBERS[:-1]:
            null: dict[str, Any] = {said.name: None}
            call = chat_call(**null)
            self.prepare(call)
            assert () == call.dropped, f"`{said.name}: null` says nothing, so nothing of it can be dropped"

    def test_defaults_of_the_model_fill_what_the_client_left_out(self) -> None:
        def default(**members: Any) -> Any:
            return structs.replace(
                self.model, defaults={name: Raw(msgspec.json.encode(it)) for name, it in members.items()}
            )

        def sent(call: Call, model: TargetModel = self.model) -> tuple[str, Any]:
            request = self.prepare(call, model)
            return request.url, self.said(request)

        said = sent(chat_call(temperature=0.73))
        if said == sent(chat_call()):
            return  # it cannot carry it at all
        assert said == sent(chat_call(), default(temperature=0.73)), (
            "use `model.defaults` where the client set nothing (`switchgear.wire.canonical.read_chat` lays them under)"
        )
        assert said == sent(chat_call(temperature=0.73), default(temperature=0.21)), "what the client says wins"

    def test_a_conversation_is_sent_in_its_order(self) -> None:
        order = ["canary-first", "canary-second", "canary-third"]
        said = ["canary-system", *order]
        messages = [
            {"role": role, "content": text}
            for role, text in zip(("system", "user", "assistant", "user"), said, strict=True)
        ]
        refused = self._refused(messages)
        if refused is None:
            body = self.prepare(chat_call(messages=messages)).whole_body()
            lost = [text for text in said if text.encode() not in body]
            assert not lost, f"of the conversation {lost} was lost"
            places = [body.index(text.encode()) for text in order]
            assert places == sorted(places), "the messages of user and assistant are sent in another order"

    def test_every_part_of_a_message_is_sent_or_refused(self) -> None:
        picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_PICTURE}"}}
        texts = [{"type": "text", "text": "canary-one"}, {"type": "text", "text": "canary-two"}]
        for parts, words in ((texts, ("canary-one", "canary-two")), ([*texts, picture], (_PICTURE, "canary-two"))):
            messages = [{"role": "user", "content": parts}]
            if self._refused(messages) is None:
                request = self.prepare(chat_call(messages=messages))
                lost = [word for word in words if not any(word in it for it in words_of(self.said(request)))]
                assert not lost, (
                    f"a part of a message was lost ({lost}); raise InvalidRequest for one that cannot be sent"
                )

    def test_what_a_user_says_is_sent_as_it_is(self) -> None:
        text = 'Say "canary" \\ \n\t\u2028 \u00e9 \U0001f600 {"a": 1}'
        request = self.prepare(chat_call(messages=[{"role": "user", "content": text}]))
        assert any(text in it for it in words_of(self.said(request))), (
            "quotes, lines and signs in a message were changed"
        )

    def test_functions_are_sent_with_all_that_is_said_of_them(self) -> None:
        if not self.can(TOOLS):
            return
        words = words_of(self.said(self.prepare(chat_call(**_TOOLS))))
        lost = [
            it for it in ("canary_weather", "canary-what-for", "canary_city") if not any(it in word for word in words)
        ]
        assert not lost, f"of a function {lost} was lost; if models have no tools, leave them out of `traits`"

    def test_earlier_calls_of_functions_are_sent_with_their_results(self) -> None:
        if not self.can(TOOLS):
            return
        body = self.said(self.prepare(self._earlier(msgspec.json.encode(_ARGUMENTS).decode())))
        words = words_of(body)
        lost = [
            it for it in ("canary_weather", "canary-paris", "canary-result") if not any(it in word for word in words)
        ]
        assert not lost, f"of an earlier call of a function {lost} was lost"

    @pytest.mark.parametrize("arguments", _NO_OBJECTS, ids=lambda text: repr(text[:24]))
    def test_arguments_that_are_no_object_are_read_before_they_are_sent(self, arguments: str) -> None:
        """They are a text that a client wrote: refused, or sent in the place and shape that arguments have on this wire."""
        if not self.can(TOOLS):
            return
        good = self.said(self.prepare(self._earlier(msgspec.json.encode(_ARGUMENTS).decode())))
        places = [(path, value) for path, value in walk(good) if _is_arguments(value)]
        assert places, "the arguments of an earlier call of a function are not sent"
        try:
            request = self.prepare(self._earlier(arguments))
        except InvalidRequest as refused:
            self.check_refusal(refused, "messages")
            return
        body = self.said(request)
        assert "canary_injected" not in [step for path, _ in walk(body) for step in path], (
            "arguments that are no JSON object became members of the request: read them, never send `Raw(arguments)`"
        )
        path, value = places[0]
        found = _at(body, path)
        assert isinstance(found, type(value)) or (found is None and arguments in ("", "null")), (
            f"the arguments {arguments[:40]!r} were sent as {found!r}, where this wire has {type(value).__name__}"
        )

    def _earlier(self, arguments: str) -> Any:
        return chat_call(messages=_history(arguments), **_TOOLS)

    def _refused(self, messages: Sequence[Mapping[str, Any]]) -> InvalidRequest | None:
        """Return how messages are refused, None if they are not."""
        try:
            self.prepare(chat_call(messages=messages))
        except InvalidRequest as refused:
            self.check_refusal(refused, "messages")
            return refused
        return None
