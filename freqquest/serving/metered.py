"""Counts the requests of an HTTP application, around all of it. No Ray."""

import time
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from freqquest.serving.metrics import Metrics

_PATHS = ("/", "/classify", "/model", "/healthz", "/metrics", "/openapi.json")
"""Paths with counters of their own; all others share one, however many are asked for."""


class Metered:
    """An application whose requests are counted by path and status.

    Browsers take its answers for nothing but what their headers say.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """Wrap an application.

        Args:
            app: The application. It logs its errors and answers them, and then raises them.
            metrics: The counters.
        """
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI calls it."""
        status, started = "none", time.perf_counter()

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
                nosniff = (b"x-content-type-options", b"nosniff")
                message["headers"] = [*message.get("headers", ()), nosniff]
            await send(message)

        with self._metrics.in_progress.track_inprogress(), suppress(Exception):
            await self._app(scope, receive, note_status)
        path = scope["path"] if scope["path"] in _PATHS else "other"
        self._metrics.requests.labels(path, status).inc()
        self._metrics.seconds.labels(path).observe(time.perf_counter() - started)
