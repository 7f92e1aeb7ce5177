"""Inference endpoints beyond JSON: a form comes in, sound goes out, and the model stands in the path."""

import base64
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.distributions import installed
from support.gateway import Running, running

PLUGIN = """
    import base64
    import msgspec
    from switchgear import NoSettings, Offer
    from switchgear.contracts.capability import ONLY_TEXT
    from switchgear.contracts.provider import Answer, Call, Traits
    from switchgear.contracts.usage import Usage
    from switchgear.errors import InvalidRequest
    from switchgear.wire.members import member

    class Sound:
        path = "/sound/{model}/transform"
        wire = "sound"
        face = None
        pieces = None
        takes_forms = True

        def parse(self, members, headers):
            return Call("transform", "sound", members, model=member(members, "model", str) or "")

        def check(self, call):
            if "file" not in call.members:
                raise InvalidRequest("`file` is missing.", param="file", code="missing_field")

        def canonical(self, call): raise InvalidRequest("no other form")
        def answer(self, call, answer): return answer.body
        def encoder(self, call, *, translate): raise InvalidRequest("no stream")

    class Provider:
        wires = frozenset({"sound"})

        def __init__(self, config): pass
        def traits(self, model): return Traits(self.wires, ONLY_TEXT)

        async def complete(self, x, call, model, secret):
            members = {name: msgspec.json.decode(value) for name, value in call.members.items()}
            file = members.pop("file")
            data = base64.b64decode(file["data"])[::-1]
            x.headers.append((b"x-said", msgspec.json.encode(members | {"type": file["media_type"]})))
            return Answer(data, Usage.plain(1, 1), media_type=b"audio/wav")

        async def stream(self, x, call, model, secret):
            return
            yield

    class Plug(switchgear.Plugin):
        api = 1
        name = "sound"
        request_id_header = None
        retry_count_header = b""
        inference = (Sound(),)
        routes = ()

        def error(self, error, request_id): return msgspec.json.encode({"code": error.code})
        def switchgear_dialects(self): return [Offer("sound", lambda: self)]
        def switchgear_providers(self): return [Offer("sound", Provider, NoSettings)]
"""
DATA = bytes(range(256)) * 400


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    with installed(tmp_path / "site") as site:
        site.add("sound", {"sound": "Plug"}, PLUGIN)
        async with running(tmp_path, plugins="sound = { enabled = true }") as run:
            await run.create("providers", id="s", type="sound")
            await run.create("models", id="wave", provider_id="s", provider_model="wave-1")
            yield run


async def test_a_form_is_a_call_and_its_answer_is_sound(gateway: Running) -> None:
    fields = {"prompt": "hé", "parts[]": "a", "n": ["1", "2"]}
    answer = await gateway.http.post(
        "/sound/wave/transform", data=fields, files={"file": ("a.mp3", DATA, "audio/mpeg")}, headers=gateway.auth
    )
    assert 200 == answer.status_code, answer.text
    assert ("audio/wav", DATA[::-1]) == (answer.headers["content-type"], answer.content)
    said = json.loads(answer.headers["x-said"])
    assert {"prompt": "hé", "parts": ["a"], "n": ["1", "2"], "type": "audio/mpeg", "model": "wave"} == said
    record = await gateway.usage_of(answer.headers["x-request-id"])
    assert {"operation": "transform", "model": "wave", "outcome": "complete"}.items() <= record.items()


async def test_the_same_may_be_said_in_json_and_either_compressed(gateway: Running) -> None:
    body = {"file": {"filename": "a", "media_type": "b/c", "data": base64.b64encode(DATA).decode()}, "model": "other"}
    packed = gzip.compress(json.dumps(body).encode())
    headers = {"content-type": "application/json", "content-encoding": "gzip", **gateway.auth}
    answer = await gateway.http.post("/sound/wave/transform", content=packed, headers=headers)
    assert DATA[::-1] == answer.content
    form = b'--b\r\ncontent-disposition: form-data; name="file"; filename="x"\r\n\r\n' + DATA + b"\r\n--b--\r\n"
    headers |= {"content-type": "multipart/form-data; boundary=b"}
    answer = await gateway.http.post("/sound/wave/transform", content=gzip.compress(form), headers=headers)
    assert DATA[::-1] == answer.content


async def test_what_is_wrong_with_a_form_is_told_as_with_json(gateway: Running) -> None:
    async def code(model: str = "wave", **more) -> tuple[int, str]:
        answer = await gateway.http.post(
            f"/sound/{model}/transform", headers=gateway.auth | more.pop("headers", {}), **more
        )
        return answer.status_code, answer.json()["code"]

    assert (400, "missing_field") == await code(files={"none": b"x"})
    assert (404, "model_not_found") == await code("none", files={"file": b"x"})
    form = {"content-type": "multipart/form-data; boundary=b"}
    assert (400, "invalid_multipart") == await code(content=b"--b\r\nbroken", headers=form)
    assert 415 == (await code(content=b"x", headers={"content-type": "multipart/form-data"}))[0]
    assert 415 == (await code(content=b"x", headers={"content-type": "text/plain"}))[0]
