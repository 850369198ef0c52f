"""Storage that fails: an S3 server behind a proxy, and a small disk that can be filled."""

import http.client
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

StorageFault = Literal["answers 503", "is slow", "breaks off answers", "loses uploads"]
STORAGE_FAULTS: tuple[StorageFault, ...] = (
    "answers 503",
    "is slow",
    "breaks off answers",
    "loses uploads",
)

BUCKET = "chaos"

_SHARE = 0.5
"""Share of the requests that a fault hits."""

_DELAY_S = 2.0
"""Delay of a slow answer."""

_START_S = 60.0
"""Longest start of the server."""

_DISK_BYTES = 300 * 2**20

_HOP_HEADERS = {"connection", "transfer-encoding", "keep-alive", "expect"}


class FaultyProxy(ThreadingHTTPServer):
    """An HTTP proxy before one server, which fails as it is told."""

    daemon_threads = True

    def __init__(self, port: int, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target, self.fault = port, None
        self.rng = random.Random(seed)
        self.num_hit = 0

    fault: StorageFault | None
    """How it fails now; None if it does not."""
    num_hit: int
    """Requests that a fault has hit."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Write nothing: clients that die while they wait are what this is for."""

    def draw_fault(self) -> StorageFault | None:
        """Return the fault that hits the next request, if any does."""
        fault = self.fault if self.rng.random() < _SHARE else None
        self.num_hit += fault is not None
        return fault


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def answer(self) -> None:
        fault = self.server.draw_fault()
        body = self._body()
        if fault == "is slow":
            time.sleep(_DELAY_S)
        elif fault == "loses uploads" and body:
            self.close_connection = True  # after all was sent; the server never hears of it
            return
        elif fault == "answers 503":
            self._send(503, {}, b"<Error><Code>SlowDown</Code></Error>")
            return
        backend = http.client.HTTPConnection("127.0.0.1", self.server.target, timeout=60)
        try:
            sent = {
                name: value
                for name, value in self.headers.items()
                if name.lower() not in _HOP_HEADERS
            }
            backend.request(self.command, self.path, body, sent)
            answer = backend.getresponse()
            headers = {
                name: value
                for name, value in answer.getheaders()
                if name.lower() not in _HOP_HEADERS
            }
            content = answer.read()
        finally:
            backend.close()
        if fault == "breaks off answers":
            self.close_connection = True
            if not content:
                return
            headers["Content-Length"] = str(len(content))
            content = content[: len(content) // 2]
        self._send(answer.status, headers, content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return b"".join(chunks)

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        with suppress(OSError):  # the client has given up
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if not any(name.lower() == "content-length" for name in headers):
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Write no log."""


def has_s3_server() -> bool:
    """Return whether the package of the S3 server is installed."""
    return find_spec("moto") is not None


@contextmanager
def s3_storage(seed: int) -> Iterator[tuple[FaultyProxy, dict[str, str]]]:
    """Run an S3 server with the bucket BUCKET behind a proxy.

    Yields:
        The proxy, and the environment variables by which programs find it.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as server, FaultyProxy(port, seed) as proxy:  # type: ignore[call-overload]
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{proxy.server_port}"
        try:
            _make_bucket(f"http://127.0.0.1:{port}")
            yield (
                proxy,
                {
                    "AWS_ENDPOINT_URL": address,
                    "AWS_ACCESS_KEY_ID": "any",
                    "AWS_SECRET_ACCESS_KEY": "any",
                    "AWS_REGION": "us-east-1",
                },
            )
        finally:
            proxy.shutdown()
            server.kill()


def _make_bucket(address: str) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            urllib.request.urlopen(urllib.request.Request(f"{address}/{BUCKET}", method="PUT"))
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Make a folder, on a small disk in memory where this machine allows it.

    Yields:
        Whether it is a disk of its own, which `fill` may fill.
    """
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(folder)]
    is_disk = (
        bool(shutil.which("mount"))
        and not subprocess.run(mount, capture_output=True, check=False).returncode
    )
    try:
        yield is_disk
    finally:
        if is_disk:
            subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


def fill(disk: Path) -> Path:
    """Fill a disk, and return the file that does."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as stream, suppress(OSError):
        while True:
            stream.write(bytes(2**20))
    with filler.open("ab", buffering=0) as stream, suppress(OSError):
        while True:
            stream.write(bytes(os.sysconf("SC_PAGE_SIZE")))
    return filler
