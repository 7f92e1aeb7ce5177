"""Takes secrets out of text before anyone sees it: upstream error messages, log lines, tracebacks.

Every pattern starts at a word boundary and has no nested repetition, so the time is linear in the text whatever it holds.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from urllib.parse import quote

MASKED = "***"
LIMIT = 500
"""Characters an upstream's message may have."""

READ = 16_384
"""Characters of a message that are looked at; what comes after could only be shown if nearly all before it were secrets."""

_LONG_ENOUGH = 12
_URL_SAFE = str.maketrans("+/", "-_")
SHORTEST = 4
"""A known secret shorter than this is not looked for: blanking every `a` of a message hides nothing and ruins it."""

_BREAKS = re.compile(r"[\t\n\r\x0b\x0c\x85\u2028\u2029]+")
# C0 and C1 controls, surrogates, and the invisible or direction-changing characters that make a line of a log lie.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)

# Whatever follows one of these names after `:` or `=` is a secret; `max_tokens=5` and `key_id: key_1` are not.
_NAMED = re.compile(
    r"""(?P<name>(?<![A-Za-z0-9])(?:[A-Za-z0-9]{1,32}[_-]){0,4}
         (?:authorization|api[_-]?key|access[_-]?key|private[_-]?key|master[_-]?key|token|secret|password|passwd|cookie)
         ["']?[ ]?[:=][ ]?)
        (?:(?P<scheme>Bearer|Basic)[ ]{1,4})?
        (?:"[^"\r\n]{1,8192}"?|'[^'\r\n]{1,8192}'?|[^\s"',;&<>)\]}]{1,8192})""",
    re.IGNORECASE | re.VERBOSE,
)
_KEY_LIKE = re.compile(
    r"""(?P<scheme>(?<![A-Za-z0-9])(?:Bearer|Basic)[ ]{1,4})[A-Za-z0-9._~+/=*-]{6,}   # RFC 6750, RFC 7617
      | (?<![A-Za-z0-9_-])(?:
            [a-z]{2,4}_(?:live|test)_(?:[A-Za-z0-9_*-]{12,}|(?=[a-z_-]*[A-Z0-9*])[A-Za-z0-9_*-]{4,})   # Stripe's form
          | (?:sk|pk|rk|gsk|hf|glpat|xai)[-_][A-Za-z0-9_*-]{6,}   # the field's common prefixes of secrets
          | (?:gh[oprsu]|github_pat)_[A-Za-z0-9_]{16,}
          | xox[abeoprs]-[A-Za-z0-9-]{8,}
          | (?:AKIA|ASIA)[A-Z0-9]{16}
          | AIza[A-Za-z0-9_-]{20,}
          | eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]{0,8192})?      # RFC 7519
        )
      | (?P<userinfo>://)[^\s/@:"']{0,256}:[^\s/@"']{1,256}@           # RFC 3986: user and password of a URL
    """,
    re.VERBOSE,
)
_PEM = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]*(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?")


def mask(text: str) -> str:
    """Replace what looks like a secret by `***`; everything else stays, line breaks too."""
    text = _PEM.sub(MASKED, text)
    text = _KEY_LIKE.sub(_keep_scheme, text)
    return _NAMED.sub(_keep_name, text)


def printable(text: str) -> str:
    """Drop control, invisible and direction-changing characters; line breaks stay."""
    return _UNPRINTABLE.sub("", text)


def flatten(text: str) -> str:
    """Make one printable line: each run of line breaks becomes a space."""
    return _BREAKS.sub(" ", printable(text))


def without(text: str, secrets: Iterable[str]) -> str:
    """Replace known secrets by `***`, also where they are encoded."""
    known = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
    for secret in sorted(known, key=len, reverse=True):
        text = text.replace(secret, MASKED)
    return text


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """Make a foreign message fit to show: one line, at most 500 characters, none of `secrets`, nothing like a secret.

    The control characters go first, so that they cannot hide a secret by splitting it, and the shortening comes last, so
    that it cannot leave the half of one.
    """
    text = without(flatten(text), map(flatten, secrets))
    if len(text) > READ:
        text = text[:READ].rpartition(" ")[0] + " …"  # at a space, for half a key does not look like one
    text = mask(text)
    return text if len(text) <= LIMIT else text[: LIMIT - 1] + "…"


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as it is, percent-encoded, and in base64 wherever it may begin in what was encoded."""
    yield secret
    yield quote(secret, safe="")
    if len(secret) >= _LONG_ENOUGH:
        data = secret.encode()
        for before in range(3):
            # What the bytes before and behind it have a part in is left off.
            least, whole = (4 * before + 2) // 3, len(data) - (len(data) + before) % 3
            text = b64encode(b"\0" * before + data[:whole]).decode()[least:].rstrip("=")
            yield text
            yield text.translate(_URL_SAFE)


def _keep_scheme(match: re.Match[str]) -> str:
    if match["userinfo"]:
        return f"://{MASKED}@"
    return (match["scheme"] or "") + MASKED


def _keep_name(match: re.Match[str]) -> str:
    return match["name"] + MASKED
