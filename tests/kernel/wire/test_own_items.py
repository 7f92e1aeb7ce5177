import json
from typing import Any

import pytest

from switchgear.contracts.provider import Call
from switchgear.errors import InvalidRequest
from switchgear.wire.canonical import ReasoningDetail
from switchgear.wire.compaction import compaction_item
from switchgear.wire.members import raw
from switchgear.wire.own_items import with_own_items
from switchgear.wire.packed_reasoning import pack

USER = {"role": "user", "content": "q"}


def sent(*items: Any, handled: frozenset[str] = frozenset(), **members: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    call = Call("chat", "responses", {n: raw(v) for n, v in {"input": list(items), **members}.items()}, model="m")
    call.handled = handled
    found = with_own_items(call)
    return {name: json.loads(bytes(value)) for name, value in found.items()}, call.dropped


def reasoning(*details: ReasoningDetail, id: str = "rs_" + "0" * 34, **members: Any) -> dict[str, Any]:
    packed = pack(list(details))
    return {
        "type": "reasoning",
        "id": id,
        "summary": [],
        **members,
        **({"encrypted_content": packed} if packed else {}),
    }


def test_reasoning_of_others_is_left_out_by_name() -> None:
    signed = ReasoningDetail("reasoning.text", text="t", signature="s", format="messages")
    plain = reasoning(content=[{"type": "reasoning_text", "text": "t"}])
    for item in (reasoning(signed), plain, {**plain, "encrypted_content": "sg1.!"}):
        members, dropped = sent(USER, item, USER)
        assert [USER, USER] == members["input"]
        assert ("input[].encrypted_content",) == dropped


def test_reasoning_of_this_wire_goes_back_as_its_maker_gave_it() -> None:
    sealed = ReasoningDetail("reasoning.encrypted", data="gAAA", id="rs_theirs", format="responses-v1")
    said = [{"type": "summary_text", "text": "s"}]
    members, dropped = sent(USER, reasoning(sealed, summary=said))
    assert {"type": "reasoning", "id": "rs_theirs", "summary": said, "encrypted_content": "gAAA"} == members["input"][1]
    assert () == dropped


def test_what_others_made_goes_out_as_it_came() -> None:
    theirs = {"type": "reasoning", "id": "rs_" + "0" * 48, "summary": [], "encrypted_content": "gAAA"}
    told = {"role": "user", "content": 'say "sg1'}
    assert ([USER, theirs, told], ()) == (sent(USER, theirs, told)[0]["input"], sent(USER, theirs, told)[1])
    assert {"input": "rs"} == with_own_items_of("rs")


def with_own_items_of(text: str) -> dict[str, Any]:
    call = Call("chat", "responses", {"input": raw(text)}, model="m")
    return {name: json.loads(bytes(value)) for name, value in with_own_items(call).items()}


def test_a_summary_goes_out_as_a_message() -> None:
    members, _ = sent(compaction_item("x", "the story"), USER)
    assert "the story" in members["input"][0]["content"]


def test_a_strict_client_is_told() -> None:
    call = Call("chat", "responses", {"input": raw([reasoning(id="rs_" + "1" * 34)])}, model="m", strict=True)
    with pytest.raises(InvalidRequest, match="encrypted_content"):
        with_own_items(call)


def test_what_a_policy_has_seen_to_is_not_sent() -> None:
    members, _ = sent(USER, previous_response_id="resp_1", handled=frozenset({"previous_response_id"}))
    assert {"input"} == members.keys()
