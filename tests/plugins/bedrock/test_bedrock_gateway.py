"""A whole gateway in front of a server that checks signatures as AWS does: from the bytes that came in."""

import hashlib
import hmac
import json
from pathlib import Path
from urllib.parse import quote

from kernel.upstream.peer import Line, Peer, Request
from plugins.bedrock.wire import golden_stream
from support.gateway import SQLITE, Running, running

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
ARN = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
ANSWER = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 3, "outputTokens": 1, "totalTokens": 4},
}


def signature(request: Request) -> str:
    """Work the signature out again from a request as it came in."""
    method, address, _ = request.start.split(" ")
    path, _, query = address.partition("?")
    authorization = request.header("authorization") or ""
    scope, names = (authorization.partition(f"{word}=")[2].split(",")[0] for word in ("Credential", "SignedHeaders"))
    _, date, region, service, _ = scope.split("/")
    lines = "".join(f"{name}:{request.header(name)}\n" for name in names.split(";"))
    body = hashlib.sha256(request.body).hexdigest()
    canonical = "\n".join([method, quote(path, "/-_.~"), query, lines, names, body]).encode()
    day = f"{date}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{request.header('x-amz-date')}\n{day}\n{hashlib.sha256(canonical).hexdigest()}"
    key = b"AWS4" + SECRET.encode()
    for part in (*day.split("/"), text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


async def bedrock(line: Line) -> None:
    """Answer one request after another, as Bedrock does; refuse a signature that is not the right one."""
    while not line.reader.at_eof():
        request = await line.request()
        status, media, body = "200 OK", "application/json", json.dumps(ANSWER).encode()
        if not (request.header("authorization") or "").endswith(f"Signature={signature(request)}"):
            status, body = "403 Forbidden", b'{"message":"no","__type":"InvalidSignatureException"}'
        elif "/converse-stream " in request.start:
            media, body = "application/vnd.amazon.eventstream", golden_stream("text")
        head = f"HTTP/1.1 {status}\r\ncontent-type: {media}\r\ncontent-length: {len(body)}\r\nx-amzn-requestid: r-1\r\n\r\n"
        await line.send(head.encode() + body)


async def provision(run: Running, port: int, secret: str) -> None:
    values = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": secret, "session_token": "to/ken+="}
    await run.create("credentials", id="c", type="bedrock", source={"backend": "encrypted", "values": values})
    await run.create(
        "providers", id="p", type="bedrock", base_url=f"http://127.0.0.1:{port}", credential_id="c",
        settings={"region": "eu-west-1"},
    )  # fmt: skip
    await run.create("models", id="m", provider_id="p", provider_model=ARN)


async def test_what_arrives_is_what_was_signed(tmp_path: Path) -> None:
    async with Peer(bedrock) as peer, running(tmp_path, store=SQLITE + "\nbedrock = { enabled = true }") as run:
        await provision(run, peer.port, SECRET)
        whole = await run.chat()
        assert (200, "Hello") == (whole.status_code, whole.json()["choices"][0]["message"]["content"])
        stream = await run.chat(stream=True)
        assert stream.text.endswith("data: [DONE]\n\n")
        assert "wörld" in stream.text
        assert f"POST /model/{quote(ARN, '')}/converse HTTP/1.1" == peer.requests[0].start


async def test_a_signature_that_is_refused_is_a_credential_that_fails(tmp_path: Path) -> None:
    async with Peer(bedrock) as peer, running(tmp_path, store=SQLITE + "\nbedrock = { enabled = true }") as run:
        await provision(run, peer.port, "another secret")
        refused = await run.chat()
        assert 502 == refused.status_code
        assert "another secret" not in refused.text
