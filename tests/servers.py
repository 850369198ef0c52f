"""Servers and waits of the tests."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar

Found = TypeVar("Found")

DEADLINE_S = 900
"""Seconds after which a wait counts as hung. Tests wait for events, however long they take."""


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Return whether something listens on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(process: subprocess.Popen, condition: Callable[[], Found]) -> Found:
    """Return what the condition returns, as soon as it is true, while the process runs."""
    deadline = time.monotonic() + DEADLINE_S
    while not (found := condition()):
        assert process.poll() is None, f"ended before: {process.communicate()[1]}"
        assert time.monotonic() < deadline, "hung"
        time.sleep(0.05)
    return found


@contextmanager
def running(
    command: list[str], env: dict[str, str], is_up: Callable[[], bool]
) -> Iterator[subprocess.Popen]:
    """Run a server as long as the block runs."""
    with subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_until(process, is_up)
            yield process
        finally:
            process.send_signal(signal.SIGINT)  # Ray takes half a minute to end by SIGTERM
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:  # the machine is very busy
                process.terminate()
                try:
                    process.wait(timeout=60)
                except subprocess.TimeoutExpired:
                    process.kill()


@contextmanager
def s3_server(bucket: str) -> Iterator[dict[str, str]]:
    """Run an S3 server with one bucket; yield the environment variables that point to it."""
    port = free_port()
    env = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_REGION": "us-east-1",
    }
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(command, os.environ | env, lambda: answers(port)):
        urllib.request.urlopen(
            urllib.request.Request(f"{env['AWS_ENDPOINT_URL']}/{bucket}", method="PUT")
        )
        yield env


@contextmanager
def refusing_server(status: int, reason: str, refused: tuple[str, ...]) -> Iterator[str]:
    """Run a server that refuses some S3 methods and finds nothing for the others."""

    class Refusing(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            text = f"<Error><Code>Any</Code><Message>{reason}</Message></Error>".encode()
            self.send_response(status if self.command in refused else 404)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
