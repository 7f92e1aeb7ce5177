"""The resource kind `users`: people who sign in. Of a password only the Argon2id hash is kept."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from switchgear.ambient import Ambient
from switchgear.contracts.principal import EVERYTHING, Principal
from switchgear.contracts.resource import (
    Prepared,
    Problem,
    Reference,
    RelatedWrite,
    Resource,
    ResourceAction,
    ResourceKind,
    View,
)
from switchgear.errors import Conflict, PermissionDenied, StoreConflict, ValidationFailed
from switchgear_plugins.tenancy import passwords
from switchgear_plugins.tenancy.passwords import Passwords
from switchgear_plugins.tenancy.people import ADMINISTRATORS, LiveTeam, LiveUser
from switchgear_plugins.tenancy.roles import RANK, Role, administers, grants
from switchgear_plugins.tenancy.teams import KIND as TEAMS

KIND = "users"
BY_NAME = "user-name"
BY_SUBJECT = "user-subject"
_MOST_ENDED = 100

Username = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\s\x00-\x1f\x7f]+$")]
Text = Annotated[str, Meta(max_length=320)]


class UserInput(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a client may write. Users without a password sign in elsewhere.

    `password` is never shown; a PATCH or PUT with one sets a new one and ends the user's sessions. `password_hash` brings the
    Argon2id hash of another system instead. `issuer` and `subject` tell who it is to an identity provider.
    """

    username: Username
    team_id: str
    role: Role = "member"
    email: Text | None = None
    name: Text | None = None
    status: Literal["active", "disabled"] = "active"
    password: str | None = None
    password_hash: Annotated[str, Meta(max_length=1024)] | None = None
    issuer: Text | None = None
    subject: Text | None = None


class Ended(Struct, frozen=True):
    """A session that was ended before its time, kept until its tokens would have expired."""

    id: str
    until_us: int


class SteppedDown(Struct, frozen=True):
    """The write by which an administrator leaves: its id, and that of the one before, as far as whoever decided knew."""

    id: str
    after: str | None


class User(Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who may sign in. What a disabled user had open ends within a second, and its keys are refused."""

    username: str
    team_id: str
    role: Role = "member"
    email: str | None = None
    name: str | None = None
    status: Literal["active", "disabled"] = "active"
    password_hash: str | None = None
    issuer: str | None = None
    subject: str | None = None
    epoch: int = 0
    ended: tuple[Ended, ...] = ()
    stepped_down: SteppedDown | None = None


class SignOut(Struct, frozen=True, forbid_unknown_fields=True):
    """Which session ends: that with this id, or all of them."""

    session: Annotated[str, Meta(max_length=64)] | None = None


class Users:
    """The kind's verbs. `everybody` returns the live users by id, `administrators` the team of those, `longest_us` is how long a
    session can last.
    """

    def __init__(
        self,
        ambient: Ambient,
        hashes: Passwords,
        everybody: Callable[[], Mapping[str, LiveUser]],
        administrators: Callable[[], LiveTeam | None],
        longest_us: int,
    ) -> None:
        self._ambient = ambient
        self._passwords = hashes
        self._everybody = everybody
        self._administrators = administrators
        self._longest_us = longest_us

    def kind(self) -> ResourceKind[User, LiveUser]:
        """Declare it."""
        return ResourceKind(
            name=KIND,
            title="user",
            group="Access",
            spec=User,
            input=UserInput,
            receive=self._receive,
            prepare=self._prepare,
            validate=_problems,
            compile=_compile,
            references=(Reference("team_id", TEAMS),),
            hidden=("password_hash", "epoch", "ended", "stepped_down"),
            keys=_keys,
            also=_also,
            id_prefix="usr_",
            restorable=False,
            refuse_delete=self._refuse_delete,
            scope=("team_id", "id"),
            principals=True,
            actions=(
                ResourceAction(
                    name="sign-out", summary="End a session, or all of them", apply=self._sign_out, input=SignOut
                ),
            ),
        )

    async def _receive(self, body: dict[str, Any]) -> dict[str, Any]:
        password = body.get("password")
        if not isinstance(password, str):
            return body
        if body.get("password_hash") is not None:
            detail = "stands beside `password`; send one of them"
            raise ValidationFailed(f"/password_hash: {detail}", [("/password_hash", detail)])
        passwords.check(password)
        return {
            **{name: value for name, value in body.items() if name != "password"},
            "password_hash": await self._passwords.hash(password),
        }

    def _prepare(self, new: UserInput, previous: User | None, by: Principal) -> Prepared[User]:
        if new.password is not None:
            raise ValueError("a file has no passwords: write `password_hash`, or set the password over the API")
        by = self._behind(by)
        written = {field: getattr(new, field) for field in UserInput.__struct_fields__ if field != "password"}
        if previous is None:
            _refuse_more(written, None, by)
            # No token of somebody who had this id before is good again.
            return Prepared(User(**written, epoch=self._ambient.now_us() // 1_000_000))
        if new.password_hash is None:
            written["password_hash"] = previous.password_hash
        _refuse_more(written, previous, by)
        user = msgspec.structs.replace(previous, **written, stepped_down=None)
        if any(getattr(user, field) != getattr(previous, field) for field in _ENDING):
            user = msgspec.structs.replace(user, epoch=previous.epoch + 1, ended=())
        if _is_administrator(previous) and not _is_administrator(user):
            user = msgspec.structs.replace(user, stepped_down=self._stepping_down(previous))
        return Prepared(user)

    def _stepping_down(self, leaving: User) -> SteppedDown:
        """Keep one administrator. Whoever leaves writes so into their team, over what was there when this was decided: of two who
        leave at once, at whatever gateways, one has to decide anew.
        """
        others = (it for it in self._everybody().values() if it.username != leaving.username)
        if not any(it.active and administers(it.team_id, it.role) for it in others):
            raise Conflict("this is the last administrator; make another one first", code="last_administrator")
        team = self._administrators()
        return SteppedDown(self._ambient.token(8).hex(), None if team is None else team.last_left)

    def _behind(self, by: Principal) -> Principal:
        """Return the user whose key somebody comes with: a key is no way around what its owner may not do."""
        owner = self._everybody().get(by.labels.get("user", "")) if by.kind == "key" else None
        return by if owner is None else owner.principal()

    def _refuse_delete(self, resource: Resource[User], by: Principal) -> str | None:
        user, by = resource.spec, self._behind(by)
        if by.kind == "user" and by.id == resource.id:
            return "nobody deletes themselves"
        if by.kind == "user" and not _may_touch(by, user):
            return "this user stands above you"
        if _is_administrator(user):
            return "an administrator is not deleted: disable the user first, or give them another role"
        return None

    def _sign_out(self, resource: Resource[User], wanted: SignOut, by: Principal) -> Prepared[User]:
        user, by = resource.spec, self._behind(by)
        if by.kind == "user" and by.id != resource.id and not _may_touch(by, user):
            raise PermissionDenied("You may not end the sessions of this user.", code="not_permitted")
        now_us = self._ambient.now_us()
        user = msgspec.structs.replace(user, stepped_down=None)
        ended = tuple(it for it in user.ended if it.until_us > now_us)
        if wanted.session is None or len(ended) >= _MOST_ENDED:
            return Prepared(msgspec.structs.replace(user, epoch=user.epoch + 1, ended=()))
        return Prepared(msgspec.structs.replace(user, ended=(*ended, Ended(wanted.session, now_us + self._longest_us))))


_ENDING = ("username", "password_hash", "team_id", "role", "status", "issuer", "subject")
"""Fields whose change ends a user's sessions."""


def folded(username: str) -> str:
    """Return what a user is looked up by: names differ in more than their case."""
    return username.casefold()


def subject_key(issuer: str, subject: str) -> str:
    """Return what a user of an identity provider is looked up by."""
    return f"{issuer}\n{subject}"


def _is_administrator(user: User) -> bool:
    return user.status == "active" and administers(user.team_id, user.role)


def _may_touch(by: Principal, user: User) -> bool:
    """Say whether a user may change another one: whoever stands above, or owns the team."""
    mine = RANK.get(str(by.facts.get("role")), -1)
    if by.labels.get("team") not in (user.team_id, ADMINISTRATORS):
        return False
    above = by.labels.get("team") != user.team_id
    return above or mine > RANK[user.role] or mine == RANK["owner"]


def _refuse_more(written: Mapping[str, Any], previous: User | None, by: Principal) -> None:
    """Refuse what whoever writes may not give, field by field."""
    if by.kind != "user":
        return
    is_own = previous is not None and previous.username == by.name
    if previous is not None and not is_own and not _may_touch(by, previous):
        raise PermissionDenied("You may not change this user.", code="not_permitted")
    changed = {
        field for field, value in written.items() if previous is None or value != getattr(previous, field)
    }  # fmt: skip
    errors: list[tuple[str, str]] = []
    if is_own:
        errors += [
            (f"/{field}", "is not yours to change") for field in ("role", "team_id", "status") if field in changed
        ]
        if "password_hash" in changed:
            errors.append(("/password", "of your own is changed at /admin/v1/auth/password"))
    administrator = by.holds(EVERYTHING)
    mine = RANK.get(str(by.facts.get("role")), -1)
    is_equal = by.labels.get("team") == written["team_id"]
    if "role" in changed and is_equal and RANK[written["role"]] > mine:
        errors.append(("/role", "is more than your own"))
    if not administrator:
        if written["team_id"] != by.labels.get("team"):
            errors.append(("/team_id", "must be your own"))
        errors += [
            (f"/{field}", "is for administrators to set")
            for field in ("issuer", "subject")
            if field in changed and written[field] is not None
        ]
    if errors:
        raise ValidationFailed("; ".join(f"{pointer}: {detail}" for pointer, detail in errors), errors)


def _problems(new: User, view: View, by: Principal) -> Sequence[Problem]:  # noqa: ARG001 - the shape of ResourceKind.validate
    found = []
    if new.password_hash is not None and (why := passwords.why_no_hash(new.password_hash)) is not None:
        found.append(Problem("/password_hash", why))
    if (new.issuer is None) != (new.subject is None):
        found.append(Problem("/subject", "and `issuer` go together"))
    return found


def _keys(user: User) -> Sequence[tuple[str, str]]:
    found = [(BY_NAME, folded(user.username))]
    if user.issuer is not None and user.subject is not None:
        found.append((BY_SUBJECT, subject_key(user.issuer, user.subject)))
    return found


def _also(spec: Mapping[str, Any]) -> Sequence[RelatedWrite]:
    """Let an administrator's leaving be written into their team."""
    leaving = spec.get("stepped_down")
    if leaving is None:
        return ()

    def left(team: dict[str, Any]) -> dict[str, Any]:
        if team.get("last_left") != leaving["after"]:
            raise StoreConflict("stale", TEAMS, ADMINISTRATORS)
        return {**team, "last_left": leaving["id"]}

    return [RelatedWrite(TEAMS, ADMINISTRATORS, left)]


def _compile(resource: Resource[User], view: View) -> LiveUser:
    user, team = resource.spec, view.live(TEAMS, resource.spec.team_id)
    return LiveUser(
        id=resource.id,
        username=user.username,
        email=user.email,
        name=user.name,
        team_id=user.team_id,
        team_name="" if team is None else team.name,
        role=user.role,
        active=user.status == "active" and team is not None and team.active,
        issuer=user.issuer,
        subject=user.subject,
        password_hash=user.password_hash,
        epoch=user.epoch,
        ended=frozenset(it.id for it in user.ended),
        most=(*grants(user.team_id, user.role), *(() if team is None or user.role == "viewer" else team.usable)),
    )
