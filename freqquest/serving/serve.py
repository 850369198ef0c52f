"""The serve stage: one process that receives all requests, and replicas that answer them."""

import asyncio
import secrets
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import uvicorn

import freqquest
from freqquest.serving import schemas
from freqquest.serving.access import (
    check_certificate,
    is_readable_by_others,
    open_socket,
    read_token,
    url,
)
from freqquest.serving.answers import Hearing, hearing_of
from freqquest.serving.app import create_app
from freqquest.serving.config import ServeConfig
from freqquest.serving.metered import Metered
from freqquest.storage import locate

_SHUTDOWN_S = 2
"""Time in which requests can end before the service does; `ray job stop` leaves 3 s."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A request to serve that was checked."""

    hearing: Hearing
    token: str | None
    listening: socket.socket


def check_request(config: ServeConfig) -> Request:
    """Check all that needs no Ray, and take the port.

    Raises:
        UserError: The model, the token, the certificate or the port cannot be used.
    """
    hearing = hearing_of(locate(config.model))
    token = None
    if config.token_file is not None:
        token = read_token(config.token_file)
    if config.certificate is not None and config.key is not None:
        check_certificate(config.certificate, config.key)
    elif not config.is_on_loopback:
        _warn("without a certificate, tokens and uploads cross the network unencrypted")
    for secret in (config.token_file, config.key):
        if secret is not None and is_readable_by_others(secret):
            _warn(f"other users of this machine may read {secret}: chmod 600 it")
    return Request(hearing=hearing, token=token, listening=open_socket(config.host, config.port))


def serve(config: ServeConfig, request: Request) -> None:
    """Answer requests until Ctrl+C. Needs an initialized Ray.

    Args:
        config: Settings of the job.
        request: Result of `check_request`.

    Raises:
        UserError: The model cannot be loaded.
    """
    from freqquest.serving.replicas import Replicas

    port = request.listening.getsockname()[1]
    name = f"freqquest-{port}-{secrets.token_hex(4)}"  # a cluster has that port on each node
    replicas = Replicas.start(config, request.hearing, name)
    try:
        model = _describe(config, request.hearing)
        server = _server(config, create_app(replicas, model, request.token, config.host))
        print(f"serving {config.model} at {url(config, request.listening)}", flush=True)
        with suppress(KeyboardInterrupt):  # uvicorn raises it again when it has ended
            asyncio.run(server.serve(sockets=[request.listening]))
    finally:
        replicas.stop()
    print("the service has ended")


def _server(config: ServeConfig, app: Metered) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http="h11",  # it limits the size of headers
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",  # errors are logged by the application
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_SHUTDOWN_S,
            ssl_certfile=_expand(config.certificate),
            ssl_keyfile=_expand(config.key),
        )
    )


def _describe(config: ServeConfig, hearing: Hearing) -> schemas.Model:
    card = hearing.card
    return schemas.Model(
        classes=card.classes,
        background_label=card.background_label,
        window_s=card.clip.duration_s,
        sample_rate_hz=card.clip.sample_rate_hz,
        several_labels=card.has_several_labels,
        max_bytes=config.max_bytes,
        time_limit_s=config.time_limit_s,
        version=freqquest.__version__,
    )


def _expand(file: str | None) -> Path | None:
    return None if file is None else Path(file).expanduser()


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)
