"""Who reaches the service, and where: socket, token and certificate, checked before it starts.

No Ray.
"""

import errno
import hmac
import os
import re
import socket
import ssl
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from freqquest.errors import UserError
from freqquest.serving.config import ServeConfig
from freqquest.serving.errors import RequestError
from freqquest.storage import reason

_TOKEN = re.compile("[!-~]{16,}")
"""Tokens that headers can carry and that cannot be guessed over a network."""

_ANY_MACHINE = "192.0.2.1"
"""Address of documentation (RFC 5737), by which the way out of this machine is found."""


def open_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address.

    Raises:
        UserError: The port is in use or not permitted, or the address is not of this machine.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError) as error:
        raise UserError(
            f"`host={host}` is not an address: give one of this machine, or 0.0.0.0 for every "
            "network that it is in"
        ) from error
    both = address[0] == "::" and socket.has_dualstack_ipv6()
    try:
        return socket.create_server(address[:2], family=family, backlog=1024, dualstack_ipv6=both)
    except PermissionError as error:
        raise UserError(
            f"`port={port}` needs the rights of an administrator: choose one from 1024 on"
        ) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"`port={port}` is in use: choose another one, or `port=0` for any that is free"
            ) from error
        raise UserError(
            f"`host={host}`, `port={port}` cannot be listened on: {os.strerror(error.errno or 0)}"
        ) from error


def url(config: ServeConfig, listening: socket.socket) -> str:
    """Return the URL of the service, as other machines reach it if they can."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = _own_address()
    elif ":" not in config.host:
        host = config.host  # a name, perhaps that of the certificate
    scheme = "https" if config.certificate else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _own_address() -> str:
    """Return the address of this machine in its network, or that of the loopback without one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((_ANY_MACHINE, 9))  # of UDP: nothing is sent
        except OSError:
            return "127.0.0.1"
        address: str = probe.getsockname()[0]
        return address


def read_token(token_file: str) -> str:
    """Return the token in a file.

    Raises:
        UserError: The file cannot be read, or does not hold a token.
    """
    text = _read(token_file, "token_file").strip()
    if not _TOKEN.fullmatch(text):
        raise UserError(
            f"`token_file={token_file}` must hold one line of 16 or more ASCII characters without "
            "spaces: write a random one into it, such as: openssl rand -hex 16"
        )
    return text


def is_readable_by_others(file: str) -> bool:
    """Return whether other users of this machine may read a file."""
    return os.name == "posix" and bool(Path(file).expanduser().stat().st_mode & 0o044)


def is_same(token: str, given: str) -> bool:
    """Return whether a token was given, in a time that does not tell how much of it is right."""
    return hmac.compare_digest(token.encode(), given.encode())


class OwnNames:
    """An application that answers only under the names of this machine.

    Otherwise, a page of any site could read its answers, by a name that leads to this machine (DNS
    rebinding).
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        """Wrap an application that listens on an address of the loopback."""
        self._app = app
        own = f"[{host}]" if ":" in host else host
        self._names = {"localhost", "127.0.0.1", "[::1]", own.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI calls it."""
        given = Headers(scope=scope).get("host", "localhost")  # browsers never leave it out
        app = self._app
        if re.sub(":[0-9]*$", "", given).lower() not in self._names:
            message = f"Host={given}: the service has no such name: use localhost or 127.0.0.1"
            app = JSONResponse(RequestError(400, "bad_host", message).content, 400)
        await app(scope, receive, send)


def check_certificate(certificate: str, key: str) -> None:
    """Refuse a certificate that HTTPS would not work with.

    Raises:
        UserError: A file cannot be read, the key is encrypted, or they do not belong together.
    """
    _read(certificate, "certificate")
    _read(key, "key")

    def refuse() -> str:
        raise UserError(f"`key={key}` is encrypted: give one without a password")

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            Path(certificate).expanduser(), Path(key).expanduser(), password=refuse
        )
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            problem = "are not of each other: give the key that the certificate was made with"
        else:
            problem = "are not a certificate and its private key in PEM files"
        raise UserError(f"`certificate={certificate}` and `key={key}` {problem}") from error


def _read(file: str, parameter: str) -> str:
    try:
        return Path(file).expanduser().read_text()
    except OSError as error:
        raise UserError(f"`{parameter}={file}` cannot be read: {reason(error)}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"`{parameter}={file}` is not a text file") from error
