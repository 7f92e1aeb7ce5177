"""Keeps the secrets that credential backends fetch, so that no request ever waits for one that was fetched before.

A secret is fetched when first needed and shared by all who wait for it. At 80 % of its time to live whoever uses it next
starts a fetch in the background; while that fails the last good value stays in use and further tries are spaced out. A
fetch is thus never more often than the backoff allows, however many requests there are and however broken the backend is.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from switchgear.ambient import Ambient
from switchgear.contracts.credential import CredentialBackend, CredentialState, Secret, Status
from switchgear.contracts.provider import ProviderFault
from switchgear.errors import SecretUnavailable
from switchgear.fitting import fitted
from switchgear.plugin_faults import PluginFaults, contained, is_own_doing, name_of
from switchgear.telemetry.metrics import Counter, Metrics

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_LONGEST_US = 86_400_000_000
"""How long a secret is kept at most, whatever it says of itself."""
_OK = 200
_UNAUTHORIZED = 401


class KeeperSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How long secrets are kept, in seconds, and how a backend that fails is tried again.

    A secret is good for `ttl_s`, or until it expires where that is known, and is renewed in the background once the part
    `early` of that has gone by. After a failure the next try comes in `retry_s`, then twice that, up to `retry_most_s`. A fetch
    may take `fetch_timeout_s`. A secret that a provider refuses is fetched again, but not within `renew_s` of the last fetch;
    where that brings no other, others than what needs it are asked first for `spare_s`.
    """

    ttl_s: float = 300.0
    early: float = 0.8
    retry_s: float = 1.0
    retry_most_s: float = 30.0
    fetch_timeout_s: float = 10.0
    renew_s: float = 10.0
    spare_s: float = 30.0


class SecretKeeper:
    """The cached secrets of all credentials; the kernel has one. `close` ends what runs in the background."""

    def __init__(
        self,
        ambient: Ambient,
        metrics: Metrics,
        log: "FilteringBoundLogger",
        settings: KeeperSettings | None = None,
        announce: Callable[[str, dict[str, Any]], None] = lambda _name, _data: None,
        faults: PluginFaults | None = None,
    ) -> None:
        self.faults = faults or PluginFaults(metrics)
        self.ambient = ambient
        self.announce = announce
        self.settings = settings or KeeperSettings()
        self.log = log
        self.failures = metrics.counter(
            "credential_fetch_failures", "Fetches of a secret that failed.", ("credential",)
        )
        self._kept: dict[str, KeptSecret] = {}
        self._running: set[asyncio.Task[None]] = set()

    def handle(self, credential_id: str, backend: CredentialBackend, source: Any) -> "KeptSecret":
        """Return the handle of a credential: the one there is, or a new one without a value if backend or source changed.

        No I/O, so that a resource kind can call it while it compiles.
        """
        kept = self._kept.get(credential_id)
        if kept is None or kept.backend is not backend or kept.source != source:
            kept = self._kept[credential_id] = KeptSecret(self, credential_id, backend, source)
        return kept

    async def refresh(self, credential_id: str) -> None:
        """Fetch now, for a secret that was rotated. Raises `SecretUnavailable`, also where an old value stays in use."""
        kept = self._kept.get(credential_id)
        if kept is None:
            raise SecretUnavailable(f"there is no credential {credential_id} in use")
        await kept.refresh()

    def forget(self, credential_id: str) -> None:
        """Drop a credential that was deleted."""
        self._kept.pop(credential_id, None)

    def states(self) -> list[CredentialState]:
        """Say how every credential stands."""
        return [kept.state for kept in self._kept.values()]

    async def close(self) -> None:
        """Cancel what is being fetched."""
        running = tuple(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    def start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run a fetch that outlives whoever asked for it; owned here until it ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task


class _Refused(Struct, frozen=True):
    status: Status
    since_us: int
    why: str


class KeptSecret:
    """A `SecretHandle`. One whose credential changed keeps serving those who hold it with the secret it was made for."""

    __slots__ = (
        "_ambient", "_asked", "_broken", "_due",
        "_expires", "_failures", "_fetched_us", "_fetching", "_keeper", "_refused", "_retry_s",
        "_secret", "_since_us", "_spared_until", "_why", "backend", "credential_id", "source",
    )  # fmt: skip

    def __init__(self, keeper: SecretKeeper, credential_id: str, backend: CredentialBackend, source: Any) -> None:
        self.credential_id = credential_id
        self.backend = backend
        self.source = source
        self._keeper = keeper
        self._ambient = keeper.ambient
        self._failures: Counter = keeper.failures.child(credential_id)
        self._secret: Secret | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._asked = -1e9
        self._due = 0.0
        self._expires = 0.0
        self._fetched_us: int | None = None
        self._retry_s = keeper.settings.retry_s
        self._since_us: int | None = None
        self._why: str | None = None
        self._refused: _Refused | None = None
        self._broken = False
        self._spared_until = 0.0

    def __repr__(self) -> str:
        return f"KeptSecret({self.credential_id}, {self.state.status})"

    def apart(self) -> "KeptSecret":
        """Make one of the same source that health does not see, for a trial."""
        return KeptSecret(self._keeper, self.credential_id, self.backend, self.source)

    @property
    def state(self) -> CredentialState:
        """How it stands."""
        status: Status = "unused"
        if self._refused is not None:
            refused = self._refused
            return CredentialState(self.credential_id, refused.status, self._fetched_us, refused.since_us, refused.why)
        if self._why is not None:
            status = "unavailable" if self._secret is None else "failing"
        elif self._secret is not None:
            status = "good"
        return CredentialState(self.credential_id, status, self._fetched_us, self._since_us, self._why)

    def peek(self) -> Secret | None:
        """Return the cached secret, None if it must be fetched first. Starts a renewal in the background when one is due."""
        now = self._ambient.monotonic()
        if now < self._due:
            return self._secret
        if self._secret is None or (now >= self._expires and self._why is None):
            return None
        self._fetch()
        return self._secret

    async def get(self) -> Secret:
        """Return the secret, fetching it if there is none or it is too old."""
        secret = self.peek()
        if secret is not None:
            return secret
        if self._ambient.monotonic() >= self._due:
            await asyncio.shield(self._fetch())  # one waiter's cancellation is not the others'
        if self._secret is None:
            if self._broken:
                raise ProviderFault("protocol", _OK)
            raise SecretUnavailable(self._why or f"the fetch of credential {self.credential_id} was stopped")
        return self._secret

    async def refresh(self) -> None:
        """Fetch now. A fetch under way began before it was asked for, and may bring what was before, so it comes first."""
        if self._fetching is not None:
            await asyncio.shield(self._fetching)
        await asyncio.shield(self._fetch())
        if self._why is not None:
            raise SecretUnavailable(self._why)

    async def renew(self, refused: Secret) -> Secret | None:
        """Return a secret other than the one a provider refused, fetching it unless that was just done; None if there is none."""
        if self._secret is refused and self._ambient.monotonic() - self._asked >= self._keeper.settings.renew_s:
            await asyncio.shield(self._fetch())
        elif self._fetching is not None:
            await asyncio.shield(self._fetching)
        found = self._secret
        return None if found is None or found is refused or dict(found) == dict(refused) else found

    def refused(self, by: str, status: int) -> None:
        """Note that a provider does not take it: what needs it is asked last for a while, if it is the secret that is refused."""
        word: Status = "refused" if status == _UNAUTHORIZED else "forbidden"
        if word == "refused":
            self._spared_until = self._ambient.monotonic() + self._keeper.settings.spare_s
        if self._refused is None or self._refused.status != word:
            why = f"the provider {by} refuses it (status {status})"
            self._refused = _Refused(word, self._ambient.now_us(), why)
            self._keeper.log.warning("credential is refused", credential_id=self.credential_id, why=why)
            self._keeper.announce("credentials.refused", {"id": self.credential_id, "provider": by, "status": status})

    def accepted(self) -> None:
        """Note that a provider takes it."""
        if self._refused is not None:
            self._forgive()

    def in_cooldown(self) -> bool:
        """Say whether it was refused a moment ago."""
        return self._refused is not None and self._ambient.monotonic() < self._spared_until

    def _forgive(self) -> None:
        self._refused = None
        self._spared_until = 0.0
        self._keeper.log.info("credential is accepted again", credential_id=self.credential_id)
        self._keeper.announce("credentials.recovered", {"id": self.credential_id})

    def _fetch(self) -> "asyncio.Task[None]":
        self._asked = self._ambient.monotonic()
        if self._fetching is None:
            self._fetching = self._keeper.start(self._fly())
        return self._fetching

    async def _fly(self) -> None:
        settings = self._keeper.settings
        self._broken = False
        try:
            async with asyncio.timeout(settings.fetch_timeout_s):
                found = await contained(self.backend.fetch(self.credential_id, self.source))
            secret = _fitted(self.credential_id, found)
        except SecretUnavailable as error:
            self._failed(str(error))
        except TimeoutError:
            self._failed(
                f"the backend of credential {self.credential_id} did not answer in {settings.fetch_timeout_s:g} s"
            )
        except ProviderFault:  # a token that its provider's plugin cannot get, which is told of already
            self._broken = True
            self._failed(f"the provider's plugin failed at the exchange of the credential for {self.credential_id}")
        except BaseException as error:
            if not is_own_doing(error):
                raise
            how = f"it raised {name_of(error)}"  # its words may hold the secret
            faults = self._keeper.faults
            faults.note(faults.owner(self.backend), f"fetch of credential {self.credential_id}", how)
            self._failed(f"the backend of credential {self.credential_id} is broken: {how}")
        else:
            self._succeeded(secret)
        finally:
            self._fetching = None

    def _succeeded(self, secret: Secret) -> None:
        settings = self._keeper.settings
        now = self._ambient.monotonic()
        if self._secret is None or dict(self._secret) != dict(secret):
            # Backends that know no versions leave it empty; what is derived from a secret still has to notice a new one.
            self._secret = secret if secret.version else Secret(secret, self._ambient.new_id(), secret.expires_us)
            if self._refused is not None:
                self._forgive()
        elif secret.version and secret.version != self._secret.version:
            self._secret = secret
        self._fetched_us = self._ambient.now_us()
        good_for = settings.ttl_s
        if secret.expires_us is not None:
            # One that has ended already must not be fetched again for every request.
            good_for = max(min(secret.expires_us - self._fetched_us, _LONGEST_US) / 1e6, settings.retry_s)
        self._due, self._expires = now + good_for * settings.early, now + good_for
        self._retry_s = settings.retry_s
        if self._why is not None:
            self._keeper.log.info("credential is available again", credential_id=self.credential_id)
            self._keeper.announce("credentials.recovered", {"id": self.credential_id})
            self._why = self._since_us = None

    def _failed(self, why: str) -> None:
        self._failures.inc()
        if self._why is None:
            self._since_us = self._ambient.now_us()
            kept = self._secret is not None
            self._keeper.log.warning(
                "credential cannot be fetched", credential_id=self.credential_id, why=why, kept=kept
            )
            self._keeper.announce("credentials.failing", {"id": self.credential_id, "why": why, "kept": kept})
        self._why = why
        self._due = self._ambient.monotonic() + self._retry_s
        self._retry_s = min(self._retry_s * 2, self._keeper.settings.retry_most_s)


def _fitted(credential_id: str, secret: Secret) -> Secret:
    """Return a secret whose fields can be sent. Raises `SecretUnavailable` naming one that cannot be meant."""
    if not isinstance(secret, Secret) or not isinstance(secret.expires_us, int | None):
        raise TypeError(f"a backend returned {type(secret).__name__}, no Secret")
    values: dict[str, str] = {}
    for field, value in secret.items():
        try:
            values[field] = fitted(value)
        except ValueError as error:
            raise SecretUnavailable(f"credential {credential_id}: {field} cannot be used: {error}") from None
    return secret if values == dict(secret) else Secret(values, secret.version, secret.expires_us)
