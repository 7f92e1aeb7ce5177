"""Delivers what the outbox holds. Each receiver has a lane of its own, so that one that is slow delays nobody else.

A delivery that fails is tried again with exponential backoff and jitter, up to its webhook's `retries`. Then it is dead: it is
not tried any more unless a person has it delivered again.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from switchgear import Context
from switchgear.contracts.upstream import is_unanswered
from switchgear_plugins.webhooks.outbox import Due, Outbox, Outcome
from switchgear_plugins.webhooks.resources import KIND, LiveWebhook
from switchgear_plugins.webhooks.settings import WebhooksSettings
from switchgear_plugins.webhooks.signing import signed_headers

if TYPE_CHECKING:
    import httpx

_POLL_S = 1.0
_MARGIN_S = 15.0
"""How much longer a claim lasts than a receiver may take: the store may be slow."""
_MOST_ANSWER = 2000
_GONE = 410
_MOST_CAUSES = 8


class Courier:
    """Delivers. `wake` says that there is something new."""

    def __init__(
        self, context: Context, outbox: Outbox, settings: WebhooksSettings, http: Callable[[], "httpx.AsyncClient"]
    ) -> None:
        self._context = context
        self._outbox = outbox
        self._settings = settings
        self._http = http
        self._news = asyncio.Event()
        self._lanes: dict[str, asyncio.Task[None]] = {}
        self._tries = context.metrics.counter("webhook_tries", "Tries to deliver to a webhook.", ("webhook", "outcome"))

    def wake(self) -> None:
        """Look what there is."""
        self._news.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        try:
            while True:
                self._news.clear()
                for webhook in await self._outbox.waiting():
                    if webhook not in self._lanes:
                        task = self._lanes[webhook] = asyncio.create_task(
                            self._lane(webhook), name=f"webhook {webhook}"
                        )
                        task.add_done_callback(partial(self._over, webhook))
                try:
                    async with asyncio.timeout(_POLL_S):
                        await self._news.wait()
                except TimeoutError:
                    continue
        finally:
            lanes = list(self._lanes.values())
            for task in lanes:
                task.cancel()
            if lanes:
                await asyncio.wait(lanes)

    def _over(self, webhook: str, _task: "asyncio.Task[None]") -> None:
        self._lanes.pop(webhook, None)

    async def try_now(self, webhook: LiveWebhook, due: Due) -> Outcome:
        """Try one delivery, and note what it came to."""
        outcome = await self._try(webhook, due)
        self._tries.child(webhook.id, outcome.state).inc()
        await self._outbox.tried(due.id, outcome)
        return outcome

    async def _lane(self, id: str) -> None:
        """Deliver what is due for one webhook."""
        lease_s = self._settings.timeout + _MARGIN_S
        running: set[asyncio.Task[Outcome]] = set()
        try:
            while True:
                webhook: LiveWebhook | None = self._context.resources.snapshot.live(KIND, id)
                if webhook is None and await self._context.resources.get(KIND, id) is None:
                    await self._outbox.orphaned(id)
                if webhook is None or not webhook.enabled:
                    return
                room = self._settings.at_once - len(running)
                due = await self._outbox.claim(id, room, lease_s) if room else []
                if not due and not running:
                    return
                running |= {asyncio.create_task(self.try_now(webhook, it)) for it in due}
                done, running = await asyncio.wait(running, timeout=_POLL_S, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        except Exception as error:  # noqa: BLE001 - a claim ends by itself, and the next round tries again
            self._context.log.warning("webhook lane ended", webhook=id, error=str(error))
            await asyncio.sleep(_POLL_S)
        finally:
            for task in running:
                task.cancel()

    async def _try(self, webhook: LiveWebhook, due: Due) -> Outcome:
        began = self._context.ambient.monotonic()
        body = due.body.encode()
        headers = signed_headers(webhook.key, due.event, self._context.ambient.now_us() // 1_000_000, body)
        headers |= {"content-type": "application/json", "user-agent": "switchgear-webhooks"}
        status: int | None = None
        answer = error = None
        retry_after_s = 0.0
        try:
            async with asyncio.timeout(self._settings.timeout):
                status, answer, retry_after_s = await self._post(webhook.url, body, headers)
        except TimeoutError:
            error = f"no answer within {self._settings.timeout:g} s"
        except Exception as failure:
            if not is_unanswered(failure):
                raise
            error = _reason(failure)
        took_ms = int((self._context.ambient.monotonic() - began) * 1000)
        if status is not None and 200 <= status < 300:  # noqa: PLR2004 - HTTP's classes
            return Outcome("delivered", None, status, answer, None, took_ms)
        if due.tries >= webhook.retries or status == _GONE:
            return Outcome("dead", None, status, answer, error, took_ms)
        again_s = max(self._backoff(due.tries), min(retry_after_s, self._settings.retry_most))
        return Outcome("pending", again_s, status, answer, error, took_ms)

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, str, float]:
        async with self._http().stream("POST", url, content=body, headers=headers) as response:
            read = b""
            async for piece in response.aiter_raw():
                read += piece
                if len(read) >= _MOST_ANSWER:
                    break
            answer = read[:_MOST_ANSWER].decode("utf-8", "replace").replace("\0", "\ufffd")
            after = response.headers.get("retry-after", "")
            return response.status_code, answer, float(after) if after.isascii() and after.isdigit() else 0.0

    def _backoff(self, tries: int) -> float:
        longest_s = min(self._settings.retry * 2.0 ** min(tries, 40), self._settings.retry_most)
        return longest_s * (0.5 + self._context.ambient.random() / 2)


def _reason(error: BaseException) -> str:
    """Say why nothing was answered, with what is behind it."""
    said: list[str] = []
    found: BaseException | None = error
    while found is not None and len(said) < _MOST_CAUSES:
        if str(found) and str(found) not in said:
            said.append(str(found))
        found = found.__cause__
    return (": ".join(said) or type(error).__name__)[:500]
