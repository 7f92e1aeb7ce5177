"""What would become of a request: planned as it would be, looked at from every target, and sent to nobody.

Nothing is called and nothing is recorded. Planning is real: a pool draws, and one that takes turns has had one.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from switchgear.ambient import Ambient
from switchgear.contracts.dialect import InferenceEndpoint
from switchgear.contracts.dry_run import AttachmentView, DryRun, Name, PolicyView
from switchgear.contracts.exchange import Callable as Named
from switchgear.contracts.exchange import Exchange, Plan, Recovery
from switchgear.contracts.principal import USE, Known, Principal
from switchgear.contracts.provider import CANONICAL, Call
from switchgear.contracts.resource import Resources
from switchgear.errors import ApiError, InvalidRequest, ValidationFailed
from switchgear.wire.members import parse_object
from switchgear_plugins.explain.targets import TargetView, look_at

DEFAULT_PATH = "/v1/chat/completions"


class Question(Struct, frozen=True, forbid_unknown_fields=True):
    """What would become of a request.

    request    the body as a client would send it. One of nothing but `model` asks where the name leads, whatever is sent there
    path       where the client would send it
    key_id     whose request it would be: the id of an API key. Without, nothing is said of permissions and limits
    principal  likewise, the id of whoever asks where that is no key
    strict     as the client would say in `x-switchgear-strict`
    """

    request: dict[str, Any]
    path: str = DEFAULT_PATH
    key_id: str | None = None
    principal: str | None = None
    strict: bool = False


class Refusal(Struct, frozen=True):
    """Why the request would be refused before any target is asked. `code` and `param` are what a client would be told.

    `reason` is `unknown`, `disabled`, `not_permitted` (clients are not told these apart), `policy`, `no_target`, `unfit`, or what
    an authenticator says of credentials that are not good (`Known.refused`).
    """

    reason: str
    detail: str
    code: str | None = None
    param: str | None = None


class Explanation(Struct, frozen=True):
    """What would become of a request.

    written   `model` as the client writes it; `model` is what is meant by it, without the gateway's own prefix
    enabled   whether that can be used
    key_id    the id of whose request it would be
    refused   why no target would be asked at all; None if nothing is known to be in the way
    names     `model` and all the names it is made of, depth first
    targets   in the order in which they would be asked now: those that are not available come last
    attempts, seconds, recovery, hedge_s, why  the plan's bounds, and why it is as it is
    policies  those that would run, in order
    attachments  those there are of attachable policies: which of them select the request, and why the others do not
    """

    written: str
    model: str
    enabled: bool
    key_id: str | None
    refused: Refusal | None
    names: list[Name]
    targets: list[TargetView]
    attempts: int | None
    seconds: float | None
    recovery: Recovery
    hedge_s: float | None
    why: tuple[str, ...]
    policies: list[PolicyView]
    attachments: list[AttachmentView] = []


class Explainer:
    """Answers questions."""

    def __init__(self, dry_run: DryRun, resources: Resources, ambient: Ambient) -> None:
        self._dry_run = dry_run
        self._resources = resources
        self._ambient = ambient

    async def explain(self, question: Question) -> Explanation:
        """Answer. Raises `ValidationFailed` naming what is wrong with the question."""
        dry_run = self._dry_run
        asked, known = await self._principal(question)
        x, endpoint = self._exchange(question)
        assert x.call is not None
        written = x.call.model
        x.call.model = x.snapshot.without_prefix(written)
        x.principal = None if known is None else known.principal
        refused = None if known is None else _as_known(known)
        if endpoint is not None and x.principal is not None:
            try:
                await dry_run.prepare(x)
            except ApiError as error:
                refused = refused or Refusal("policy", error.message, error.code, error.param)
        if endpoint is not None and (refused is None or refused.reason != "policy"):
            _check(endpoint, x.call)
        name = x.call.model
        names = list(dry_run.names(name))
        found: Named | None = x.snapshot.callable(name)
        refused = refused or await self._as_permitted(found, x.principal, names[0])
        try:
            plan = x.plan = Plan(()) if found is None else found.plan(x)
        except ApiError as error:
            plan = Plan(())
            refused = refused or Refusal("no_target", error.message, error.code, error.param)
        steps = sorted(plan.steps, key=lambda step: not step.target.is_available())
        targets = [look_at(dry_run, x, endpoint, step) for step in steps]
        return Explanation(
            written=written,
            model=name,
            enabled=found is not None and found.enabled,
            key_id=asked,
            refused=refused or _as_targets_are(targets),
            names=names,
            targets=targets,
            attempts=plan.attempts,
            seconds=plan.seconds,
            recovery=plan.recovery,
            hedge_s=plan.hedge_s,
            why=plan.why,
            policies=list(await dry_run.policies(x)),
            attachments=list(dry_run.attachments(x)),
        )

    async def _principal(self, question: Question) -> tuple[str | None, Known | None]:
        """Return whom the question is about, as it was asked and as it stands."""
        if question.key_id is not None and question.principal is not None:
            raise _wrong("/principal", "say `key_id` or `principal`, not both")
        if question.principal is not None:
            known = await self._dry_run.known(question.principal)
            if known is None:
                raise _wrong("/principal", f"no authenticator knows anybody by the id `{question.principal[:80]}`")
            return question.principal, known
        if question.key_id is None:
            return None, None
        known = await self._dry_run.known(question.key_id)
        if known is None or known.principal.kind != "key":
            raise _wrong("/key_id", f"there is no key `{question.key_id[:80]}`; `GET /admin/v1/api-keys` lists them")
        return question.key_id, known

    async def _as_permitted(self, found: Named | None, principal: Principal | None, name: Name) -> Refusal | None:
        """Say why this name is not for this principal. The three look the same to clients."""
        if found is None:
            reason, detail = "unknown", f"Nothing that can be used is called `{name.name[:80]}`."
            if name.broken is not None:
                detail += f" It is stored, but {name.broken}."
                return Refusal("broken", detail, "model_unavailable")
        elif not found.enabled:
            reason, detail = "disabled", f"`{name.name}` is disabled, or all that it is made of."
        elif principal is not None and not await self._dry_run.may(principal, USE, "models", name.name):
            reason, detail = "not_permitted", _not_permitted(principal, name.name)
        else:
            return None
        return Refusal(reason, detail, "model_not_found", "model")

    def _exchange(self, question: Question) -> tuple[Exchange, InferenceEndpoint | None]:
        """Make the exchange as the data plane would; without an endpoint if only a name is asked about."""
        members = parse_object(msgspec.json.encode(question.request))
        route = self._dry_run.endpoints.get(question.path)
        if members.keys() == {"model"}:
            route, call = None, _only_name(question.request["model"], members)
        elif route is None:
            raise _wrong("/path", f"nothing is answered there; use one of {', '.join(sorted(self._dry_run.endpoints))}")
        else:
            call = _parsed(route[1], members)
        ambient = self._ambient
        dialect = "" if route is None else route[0]
        now_s, now_us = ambient.monotonic(), ambient.now_us()
        x = Exchange(ambient.new_id(), dialect, self._resources.snapshot, began=now_s, started_us=now_us)
        x.call, x.strict = call, question.strict
        x.face = None if route is None else route[1].face
        return x, None if route is None else route[1]


def _only_name(name: Any, members: dict[str, Raw]) -> Call:
    if not isinstance(name, str) or not name:
        raise _wrong("/request/model", "is the name to ask for, a string")
    return Call("chat", CANONICAL, members, model=name)


def _parsed(endpoint: InferenceEndpoint, members: dict[str, Raw]) -> Call:
    try:
        return endpoint.parse(members, {})
    except InvalidRequest as error:
        raise _wrong_request(error) from error


def _check(endpoint: InferenceEndpoint, call: Call) -> None:
    try:
        endpoint.check(call)
    except InvalidRequest as error:
        raise _wrong_request(error) from error


def _wrong_request(error: InvalidRequest) -> ValidationFailed:
    known = error.param is not None and error.param.isidentifier()
    return _wrong(f"/request/{error.param}" if known else "/request", error.message)


def _wrong(pointer: str, detail: str) -> ValidationFailed:
    return ValidationFailed(f"{pointer}: {detail}", [(pointer, detail)])


def _as_known(known: Known) -> Refusal | None:
    if known.refused is None:
        return None
    principal = known.principal
    how = known.refused.removeprefix(f"{principal.kind}_").replace("_", " ")
    return Refusal(known.refused, f"The {principal.kind} {principal.id} is {how}.", "invalid_api_key")


def _not_permitted(principal: Principal, name: str) -> str:
    if principal.kind == "key":
        return f"`permissions.models` of the key {principal.id} does not name `{name}`."
    return f"The {principal.kind} {principal.id} may not use `{name}`."


def _as_targets_are(targets: Sequence[TargetView]) -> Refusal | None:
    if not targets:
        return Refusal("no_target", "No target is left to ask.", "no_target")
    unfit = [obstacle for target in targets for obstacle in target.obstacles if obstacle.reason == "unfit"]
    if len(unfit) < len(targets):
        return None
    return Refusal("unfit", unfit[0].detail, unfit[0].code, unfit[0].param)
