"""Bodies of requests: counted while they stream, in a bounded amount of memory. No Ray."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import Message

from starlette.requests import Request

from freqquest.serving.errors import RequestError, busy, too_large

_ROOM = 8
"""Largest uploads that there is room for at once; small ones share it."""

_MOST_AT_ONCE = 512
"""Most requests that are received or answered at once."""


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
        chunks = []
        async for chunk in request.stream():
            received.add(len(chunk))
            if received.num_bytes > self._max_bytes:
                raise too_large(self._max_bytes)
            chunks.append(chunk)
        return b"".join(chunks)

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
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_boundary()
    if not boundary:
        raise _malformed("has no boundary in its Content-Type")
    delimiter = b"\r\n--" + boundary.encode("latin-1", "replace")
    files = []
    end = body.find(delimiter[2:])  # the first one may have no line before it
    begin = end + len(delimiter) - 2
    while end >= 0 and not body.startswith(b"--", begin):
        end = body.find(delimiter, begin)
        of_content = body.find(b"\r\n\r\n", begin, max(0, end)) + 4
        if of_content > 4 and _has_file_name(body[begin:of_content]):
            files.append((of_content, end))
        begin = end + len(delimiter)
    if end < 0:
        raise _malformed("is cut off, or no form at all")
    if len(files) != 1:
        raise _malformed(f"has {len(files)} files")
    begin, end = files[0]
    return body[begin:end]


def _has_file_name(headers: bytes) -> bool:
    """Return whether the headers of a form's field are those of a file."""
    for line in headers.decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-disposition":
            header = Message()
            header["Content-Disposition"] = value.strip()
            return header.get_filename() is not None
    return False


def _malformed(problem: str) -> RequestError:
    return RequestError(
        400, "bad_form", f"the form {problem}: send one file, as curl -F file=@a.wav does"
    )
