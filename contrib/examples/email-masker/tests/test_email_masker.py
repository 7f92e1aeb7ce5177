import json
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from msgspec import Raw
from switchgear_email_masker import EmailMasker, Masker

from switchgear.contracts.conversation import Face
from switchgear.contracts.provider import Call
from switchgear.testing.filter_suite import FilterSuite
from switchgear.testing.policy_suite import PolicySuite
from switchgear.wire.faces.chat import ChatFace
from switchgear.wire.faces.messages import MessagesFace
from switchgear.wire.faces.plain import PlainFace
from switchgear.wire.faces.responses import ResponsesFace
from switchgear.wire.faces.view import ConversationView

A = "bob@example.com"


class TestMasker(FilterSuite):
    texts = (
        A,
        f"Write to {A}, please.",
        f"<{A}>",
        "no address @ all",
        "a@b",
        "x" * 330 + "bob@example.com",
        "a@" * 200,
        "b@example.com" + ".c" * 200 + " and on",
        "ü.é@exämple.org!",
    )

    expected: ClassVar = {"Write to bob@example.com, please.": "Write to [email], please.", "a@b": "a@b"}

    def make(self) -> Masker:
        return Masker("[email]")


class TestMaskerOfArguments(TestMasker):
    channel = "tool_arguments"
    expected: ClassVar = {}
    texts = (json.dumps({"to": A}, separators=(",", ":")), json.dumps({"to": [A, "x"]}, separators=(",", ":")))


class TestEmailMasker(PolicySuite):
    def make(self, counters: object) -> EmailMasker:
        return EmailMasker("[email]")


RESULT = {"type": "tool_result", "tool_use_id": "t", "content": A}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": A}
USER = {"role": "user", "content": A}
PROMPT = PlainFace("completions", "prompt", "suffix", takes_instructions=True)
INPUT = PlainFace("embeddings", "input", takes_instructions=False)
CALLS: list[tuple[str, Face, dict[str, Any]]] = [
    ("chat", ChatFace(), {"messages": [USER, {"role": "user", "content": [{"type": "text", "text": f"hi {A}"}]}]}),
    ("messages", MessagesFace(), {"system": A, "messages": [USER, {"role": "user", "content": [RESULT]}]}),
    ("responses", ResponsesFace(), {"instructions": A, "input": [USER, OUTPUT]}),
    ("responses", ResponsesFace(), {"input": f"hi {A}"}),
    ("completions", PROMPT, {"prompt": [A, A], "suffix": A}),
    ("embeddings", INPUT, {"input": A}),
]


@pytest.mark.parametrize(("wire", "face", "body"), CALLS)
def test_no_prompt_has_an_address(wire: str, face: Face, body: dict[str, Any]) -> None:
    members = {name: Raw(json.dumps(value).encode()) for name, value in body.items()}
    call = Call("chat", wire, members, model="m")
    view = ConversationView(call, face)
    EmailMasker("[email]").prepare(SimpleNamespace(conversation=view))  # type: ignore[arg-type]  # all it looks at
    view.apply()
    sent = b"".join(bytes(value) for value in call.members.values()).decode()
    assert "@" not in sent
    assert json.dumps(body).count(A) == sent.count("[email]")
