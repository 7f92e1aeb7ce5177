"""The bounds every engine keeps, whatever the peer sends."""

from typing import Final

MAX_HEAD_BYTES: Final = 64 * 1024
"""Most bytes of names and values in the head of an answer."""

MAX_HEAD_LINES: Final = 100
"""Most header lines in an answer."""

MAX_PIECE: Final = 32 * 1024
"""Most bytes one `read` returns. Some four times as much is held for a stream whose client does not read."""

HEAD_TOO_LARGE: Final = "The answer's head is over 64 KiB or 100 lines; check that the address points at the API."
