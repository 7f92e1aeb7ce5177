"""Names and ids in the length and the alphabet of a target: stable, told apart, and the client's own on the way back."""

import re
from hashlib import sha256

from msgspec import Struct

from switchgear.contracts.provider import Call

_MARK = 8
_ANY_NAME = re.compile(r"[^a-zA-Z0-9_-]")
BILLING = re.compile(r"x-[a-z]+-billing-header:")
"""What a text begins with that an agent puts in front of its prompt for one vendor's books: it differs from call to call."""


class NameRule(Struct, frozen=True):
    """How long a name may be, and what it may not hold."""

    most: int = 64
    outside: re.Pattern[str] = _ANY_NAME
    first: re.Pattern[str] | None = None


class Names:
    """Gives the tools of one call names that fit, and notes in the call what each was."""

    def __init__(self, call: Call, rule: NameRule) -> None:
        self._call = call
        self._rule = rule
        self._known: dict[str, str] = {}

    def fit(self, name: str) -> str:
        """Return the name as it goes out: itself, or its beginning and a mark made of the whole."""
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = self._fitted(name)
            if found != name:
                self._call.aliases = {**self._call.aliases, found: name}
        return found

    def _fitted(self, name: str) -> str:
        rule = self._rule
        fits = rule.outside.sub("_", name)
        starts = rule.first is None or not name or rule.first.match(fits) is not None
        if fits == name and len(name) <= rule.most and starts:
            return name
        fits = fits if starts else f"t_{fits}"
        return f"{fits[: rule.most - _MARK - 1]}_{sha256(name.encode('utf-8', 'replace')).hexdigest()[:_MARK]}"


def fit_id(id: str, most: int) -> str:
    """Return the id of a tool call at most so long."""
    return id if len(id) <= most else f"call_{sha256(id.encode('utf-8', 'replace')).hexdigest()}"[:most]


def fit_user(user: str, most: int) -> str:
    """Return a user's name at most so long: a hash keeps telling users apart, and tells nobody who they are."""
    return user if len(user) <= most else sha256(user.encode("utf-8", "replace")).hexdigest()[:most]
