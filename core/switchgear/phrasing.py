"""Small turns of phrase that every refusal uses."""

import traceback
from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` Did you mean `x`?` for the nearest known word, else the empty string."""
    near = get_close_matches(word, list(known), n=1)
    return f" Did you mean `{near[0]}`?" if near else ""


def or_rather(word: str, known: Iterable[str]) -> str:
    """Return the end of a sentence: `; did you mean `x`?` for the nearest known word, else what there is to choose from."""
    known = sorted(known)
    if hint := did_you_mean(word, known):
        return f"; d{hint[2:]}"
    return f"; known are {listed(known[:20])}" if known else ""


def listed(words: Iterable[str]) -> str:
    """Return the words in code quotes, sorted, comma between."""
    return ", ".join(f"`{word}`" for word in sorted(words))


def one(name: str) -> str:
    """Return a name in code quotes after its article: a `Policy`, an `Offer`."""
    return f"{'an' if name[:1] in 'AEIOaeio' else 'a'} `{name}`"


def raised(error: BaseException) -> str:
    """Say in one line what was raised and where: the innermost frame, or the bad line itself of a syntax error."""
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg} ({error.filename}, line {error.lineno})"
    try:
        said = f"{type(error).__name__}: {error}".removesuffix(": ")
    except Exception:  # noqa: BLE001 - its words are somebody's code too
        said = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    return f"{said} ({frames[-1].filename}, line {frames[-1].lineno}: `{frames[-1].line}`)" if frames else said
