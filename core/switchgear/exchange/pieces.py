"""Bodies as they come: unpacked piece by piece within a bound, and cut into the parts of a multipart."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from email.message import Message
from typing import Any

from multipart import MultipartError, PushMultipartParser

from switchgear.errors import InvalidRequest, PayloadTooLarge, UnsupportedMedia
from switchgear.exchange.coding import Unpacker
from switchgear.exchange.inbound import Inbound

_MOST_PARTS = 1000
_HEAD_BYTES = 8192
"""Of the headers of one part."""


async def pieces_of(request: Inbound, headers: Mapping[bytes, bytes], most: int) -> AsyncIterator[bytes]:
    """Yield a body as it comes, unpacked. Raises `PayloadTooLarge` beyond `most` bytes, `UnsupportedMedia`, `InvalidRequest`,
    `ClientGone`.
    """
    check_length(headers, most)
    coding = headers.get(b"content-encoding", b"identity")
    unpacker = None if coding.strip().lower() == b"identity" else Unpacker(coding, most)
    size = 0
    async for piece in _raw(request):
        if unpacker is None:
            size += len(piece)
            if size > most:
                raise too_large(most)
            yield piece
            continue
        unpacker.feed(piece)
        while unpacked := unpacker.take():
            yield unpacked
            await asyncio.sleep(0)  # others have their turn, however much there is in one piece
    if unpacker is not None:
        unpacker.end()


async def parts_of(headers: Mapping[bytes, bytes], pieces: AsyncIterator[bytes]) -> AsyncGenerator[Any, None]:
    """Yield what a multipart holds: for each part its head (`MultipartSegment`), its bytes as they come, and None at its end.

    Raises `UnsupportedMedia` for what is none, `InvalidRequest` for what is no proper one.
    """
    head = Message()
    head["content-type"] = headers.get(b"content-type", b"").decode("latin-1")
    boundary = head.get_param("boundary")
    if not head.get_content_type().startswith("multipart/") or not isinstance(boundary, str) or not boundary:
        message = "The request body must be multipart (`content-type: multipart/form-data; boundary=…`)."
        raise UnsupportedMedia(message, param="content-type")
    parser = PushMultipartParser(boundary, max_header_size=_HEAD_BYTES, max_segment_count=_MOST_PARTS)
    try:
        async for piece in pieces:
            for event in parser.parse(piece):
                yield event
        for event in parser.parse(b""):
            yield event
    except (MultipartError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"The body is no proper multipart: {error}.", code="invalid_multipart") from error


def check_length(headers: Mapping[bytes, bytes], most: int) -> None:
    """Refuse what says itself that it is too large."""
    if int(headers.get(b"content-length", b"0")) > most:
        raise too_large(most)


def too_large(most: int) -> PayloadTooLarge:
    """Make the refusal of a body with more than so many bytes."""
    return PayloadTooLarge(f"The request body is larger than {most} bytes.", code="body_too_large")


async def _raw(request: Inbound) -> AsyncIterator[bytes]:
    whole = request.whole_body()
    if whole is None:
        while (piece := await request.read()) is not None:
            yield piece
    elif whole:
        yield whole
