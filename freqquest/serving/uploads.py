"""Bodies of requests: counted while they stream, in a bounded amount of memory. No Ray."""

import io
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from freqquest.serving.errors import RequestError, busy, too_large

_ROOM = 8
"""Largest uploads that there is room for at once; small ones share it."""

_MOST_AT_ONCE = 512
"""Most requests that are received or answered at once."""

_MOST_PARTS = 100
"""Most fields of a form."""

_MOST_HEADER_BYTES = 8192
"""Longest headers of a form's field."""

_BOUNDARY = re.compile(r'[;\s]boundary=(?:"([^"]+)"|([^\s;"]+))', re.IGNORECASE)

_FILE_NAME = re.compile(
    rb"^content-disposition:[^\r\n]*[;\s]filename\*?=", re.IGNORECASE | re.MULTILINE
)
"""Header of a form's field that is a file; its name does not matter."""


class Uploads:
    """Uploads in memory, of all requests together."""

    def __init__(self, max_bytes: int) -> None:
        """Start without uploads.

        Args:
            max_bytes: Largest upload.
        """
        self._max_bytes = max_bytes
        self.num_bytes = self._num_requests = 0

    @asynccontextmanager
    async def receive(self, request: Request) -> AsyncIterator[bytes]:
        """Receive the file of a request; its room is free again after the block.

        Raises:
            RequestError: The upload is too large, empty or malformed, or there is no room.
            starlette.requests.ClientDisconnect: The upload was cut off.
        """
        if self._num_requests >= _MOST_AT_ONCE:
            raise busy(f"{_MOST_AT_ONCE} requests are being answered")
        self._num_requests += 1
        received = _Received(self)
        try:
            yield _file_in(await self._read(request, received), request)
        finally:
            self._num_requests -= 1
            self.num_bytes -= received.num_bytes

    async def _read(self, request: Request, received: "_Received") -> bytes:
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self._max_bytes:
            raise too_large(self._max_bytes, int(declared))
        body = io.BytesIO()  # its value is not copied, unlike that of joined chunks
        async for chunk in request.stream():
            received.add(len(chunk))
            if received.num_bytes > self._max_bytes:
                raise too_large(self._max_bytes)
            body.write(chunk)
        return body.getvalue()

    @property
    def room(self) -> int:
        """Bytes that there is room for."""
        return _ROOM * self._max_bytes


class _Received:
    """Bytes of one upload that are in memory."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads
        self.num_bytes = 0

    def add(self, count: int) -> None:
        if self._uploads.num_bytes + count > self._uploads.room:
            raise busy(f"uploads fill {self._uploads.room / 1e6:g} MB of memory")
        self._uploads.num_bytes += count
        self.num_bytes += count


def _file_in(body: bytes, request: Request) -> bytes:
    """Return the file in a body: the body itself, or the one file of a form."""
    content_type = request.headers.get("content-type", "")
    if content_type.lower().startswith("multipart/form-data"):
        body = file_of_form(body, content_type)
    if not body:
        raise RequestError(
            400,
            "empty",
            "the request has no body: send the bytes of an audio file, or a form with a file",
        )
    return body


def file_of_form(body: bytes, content_type: str) -> bytes:
    """Return the file in a form (multipart/form-data, RFC 7578).

    Raises:
        RequestError: The form is malformed, or does not have one file.
    """
    boundary = _BOUNDARY.search(content_type)
    if not boundary:
        raise _malformed("has no boundary in its Content-Type")
    delimiter = b"\r\n--" + (boundary[1] or boundary[2]).encode("latin-1", "replace")
    file, num_parts = None, 0
    end = body.find(delimiter[2:])  # the first one may have no line before it
    begin = end + len(delimiter) - 2
    while end >= 0 and not body.startswith(b"--", begin):
        num_parts += 1
        if num_parts > _MOST_PARTS:
            raise _malformed(f"has more than {_MOST_PARTS} fields")
        end = body.find(delimiter, begin)
        if end < 0:
            break
        headers = _headers(body, begin, end)
        if _FILE_NAME.search(headers):
            if file:
                raise _malformed("has more than one file")
            file = begin + len(headers), end
        begin = end + len(delimiter)
    if end < 0:
        raise _malformed("is cut off, or no form at all")
    if not file:
        raise _malformed("has no file")
    return body[slice(*file)]


def _headers(body: bytes, begin: int, end: int) -> bytes:
    """Return the headers of a form's field, with the empty line after them."""
    of_content = body.find(b"\r\n\r\n", begin, min(end, begin + _MOST_HEADER_BYTES)) + 4
    if of_content < 4:
        raise _malformed(f"has a field without headers that end within {_MOST_HEADER_BYTES} bytes")
    return body[begin:of_content]


def _malformed(problem: str) -> RequestError:
    return RequestError(
        400, "bad_form", f"the form {problem}: send one file, as curl -F file=@a.wav does"
    )
