"""Sessions of people whom another system has identified: what a plugin that signs them in asks of the one that knows users.

    [keeper] = self.context.offers("sessions").values()
    sessions = keeper.make()
    id = await sessions.admit(Person("https://idp.example", "248289761001", "ann", part_of="red", role="member"))
    begun = sessions.begin(id, in_cookie=True, secure=True)

The kind of offer `sessions` is defined by the plugin that has users, and nobody need offer it.
"""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct


class Person(Struct, frozen=True):
    """Somebody as another system knows them.

    issuer, subject   who says so, and its own unchanging id of them: the two find the user again
    username          what a new user is called; what it is called already stays
    part_of, role     what they belong to and what they are in it; None leaves a user as it is, and a new one to the settings
    """

    issuer: str
    subject: str
    username: str
    email: str | None = None
    name: str | None = None
    part_of: str | None = None
    role: str | None = None


class Begun(Struct, frozen=True):
    """A session that has begun, good for `expires_in` seconds: `set_cookie` is the value of that header and `csrf_token` goes
    with it, or there are tokens.
    """

    session: str
    expires_in: int
    set_cookie: str | None = None
    csrf_token: str | None = None
    access_token: str | None = None
    refresh_token: str | None = None


class SessionKeeper(Protocol):
    """Knows users and their sessions."""

    async def admit(self, person: Person, *, create: bool = True) -> str:
        """Return the id of the user whom this is, made or brought up to date.

        Raises `PermissionDenied` for one who is disabled, or not there where none may be made; nobody is ever taken for the user
        of the same name whom another system, or a password, identifies.
        """
        ...

    def begin(self, id: str, *, in_cookie: bool, secure: bool) -> Begun:
        """Begin a session of a user; `secure` says that the cookie goes over TLS alone. Raises `PermissionDenied`."""
        ...

    async def end(self, id: str, session: str | None = None) -> None:
        """End a session of a user, or all of them, in every process, with what streams in them."""
        ...


class Way(Struct, frozen=True):
    """A way to sign in that begins with a page: its id, what it is called, and the page's path, which takes `?next=/ui/…`."""

    id: str
    title: str
    path: str


class WaysIn(Protocol):
    """Ways to sign in that a plugin offers, in the kind of offer `ways_in`."""

    def ways(self) -> Sequence[Way]:
        """Return them, in the order in which they are shown."""
        ...


class User(Protocol):
    """The live object of a user, in the kind `users`, whichever plugin brings it. `part_of` is what it belongs to."""

    @property
    def id(self) -> str: ...  # noqa: D102 - as the resource has them
    @property
    def username(self) -> str: ...  # noqa: D102
    @property
    def email(self) -> str | None: ...  # noqa: D102
    @property
    def name(self) -> str | None: ...  # noqa: D102
    @property
    def part_of(self) -> str: ...  # noqa: D102
    @property
    def role(self) -> str: ...  # noqa: D102
    @property
    def active(self) -> bool: ...  # noqa: D102
    @property
    def issuer(self) -> str | None: ...  # noqa: D102
    @property
    def subject(self) -> str | None: ...  # noqa: D102
