"""Counters of the service, as Prometheus reads them. No Ray.

All requests pass through one process, so that its counters cover every replica.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Bounds of the histogram of durations."""


class Metrics:
    """Counters of one service."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4
    """Content type of `text`."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "freqquest_requests", "Requests", ["path", "status"], registry=registry
        )
        self.seconds = Histogram(
            "freqquest_request_seconds",
            "Time from the start of a request to its answer",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.in_progress = Gauge(
            "freqquest_requests_in_progress", "Requests in progress", registry=registry
        )
        self.upload_bytes = Gauge(
            "freqquest_upload_bytes", "Bytes of uploads in memory", registry=registry
        )
        self.audio_seconds = Counter(
            "freqquest_audio_seconds", "Length of the files that got an answer", registry=registry
        )
        self.windows = Counter(
            "freqquest_windows", "Windows that networks computed", registry=registry
        )

    @property
    def text(self) -> bytes:
        """All counters."""
        return generate_latest(self._registry)
