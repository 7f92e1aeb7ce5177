"""Idempotency-Key: the same write sent again gets the answer the first one got, and has no second effect.

The answer is stored in the transaction of the write itself, so it also holds when the gateway died before it could reply.
What is shown only once (a generated key) is stored sealed, or, where nothing can seal, not at all: then the replayed answer
lacks it, and the header `idempotency-omitted` names it. What tells the request from others is sealed where something can seal.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from litestar import Request, Response
from msgspec import Struct

from switchgear.contracts.principal import Principal
from switchgear.contracts.store import Replay
from switchgear.errors import ApiError, Conflict, InvalidRequest, SecretUnavailable
from switchgear.resources import Remember, ResourceEngine
from switchgear.resources.views import Written

HEADER = "idempotency-key"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class Answer(Struct, frozen=True):
    """A reply to a write, in the form it is remembered: `once` is what `body` still lacks, sealed in store."""

    status: int
    headers: dict[str, str] = {}
    body: dict[str, Any] | None = None
    once: dict[str, Any] = {}
    sealed: str = ""
    omitted: tuple[str, ...] = ()

    def response(self, more: dict[str, str]) -> Response[bytes | None]:
        """Return it as a response."""
        content = None if self.body is None else msgspec.json.encode({**self.body, **self.once})
        headers = {**self.headers, **more, **({"idempotency-omitted": ", ".join(self.omitted)} if self.omitted else {})}
        return Response(content, status_code=self.status, media_type="application/json", headers=headers)


async def write(
    engine: ResourceEngine,
    request: Request[Any, Any, Any],
    run: Callable[[Remember | None], Awaitable[Written]],
    answer: Callable[[Written], Answer],
) -> Response[bytes | None]:
    """Run a write and answer it, or repeat the answer it got before."""
    key = request.headers.get(HEADER)
    if key is None:
        return answer(await run(None)).response({})
    if not _KEY.fullmatch(key):
        raise InvalidRequest("Idempotency-Key must be 1 to 255 visible ASCII characters", code="bad_key", param=HEADER)
    scope, fingerprint = _scope(request), await _fingerprint(request)
    if (known := await _recall(engine, scope, key, fingerprint)) is not None:
        return known
    sealer = engine.vault.sealer
    kept = fingerprint if sealer is None else sealer.seal(fingerprint, context=_request_of(scope, key))
    remember = Remember(scope, key, kept, lambda written: _encode(engine, scope, key, answer(written)))
    try:
        return answer(await run(remember)).response({})
    except ApiError:
        # A twin of this request may have been faster, which is why this one failed.
        if (known := await _recall(engine, scope, key, fingerprint)) is not None:
            return known
        raise


def _scope(request: Request[Any, Any, Any]) -> str:
    principal: Principal = request.state.principal
    return f"admin/{principal.kind}/{principal.id}"


async def _fingerprint(request: Request[Any, Any, Any]) -> str:
    scope = request.scope
    parts = (
        request.method.encode(),
        scope["path"].encode(),
        scope["query_string"],
        request.headers.get("if-match", "").encode(),
        await request.body(),
    )
    return hashlib.sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).hexdigest()


async def _recall(engine: ResourceEngine, scope: str, key: str, fingerprint: str) -> Response[bytes | None] | None:
    replay = await engine.recall(scope, key)
    if replay is None:
        return None
    if not _is_same(engine, replay, fingerprint):
        raise Conflict(
            "this Idempotency-Key was used for another request; make a new one", code="idempotency_key_reused"
        )
    stored = msgspec.json.decode(replay.answer, type=Answer)
    if stored.sealed and engine.vault.sealer is not None:
        try:
            once = msgspec.json.decode(engine.vault.sealer.unseal(stored.sealed, context=_context(scope, key)))
            stored = msgspec.structs.replace(stored, once=once, omitted=())
        except SecretUnavailable:
            pass  # sealed with a master key that is gone: the answer says what it omits
    return stored.response({"idempotency-replayed": "true"})


def _is_same(engine: ResourceEngine, replay: Replay, fingerprint: str) -> bool:
    """Say whether a request is the same as the one that was answered.

    The stored fingerprint is sealed if a plugin can seal: a copy of the store alone is then of no use for guessing requests.
    """
    sealer = engine.vault.sealer
    if replay.fingerprint == fingerprint or sealer is None:
        return replay.fingerprint == fingerprint
    try:
        return sealer.unseal(replay.fingerprint, context=_request_of(replay.scope, replay.key)) == fingerprint
    except SecretUnavailable:
        return False


def _encode(engine: ResourceEngine, scope: str, key: str, answer: Answer) -> bytes:
    sealer, sealed = engine.vault.sealer, ""
    if answer.once and sealer is not None:
        sealed = sealer.seal(msgspec.json.encode(answer.once).decode(), context=_context(scope, key))
    return msgspec.json.encode(msgspec.structs.replace(answer, once={}, sealed=sealed, omitted=tuple(answer.once)))


def _context(scope: str, key: str) -> str:
    return f"replay/{scope}/{key}"


def _request_of(scope: str, key: str) -> str:
    return f"request/{scope}/{key}"
