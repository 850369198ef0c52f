"""Settings of the serve stage. Light to import, because `--help` reads them."""

import ipaddress
import math
from dataclasses import dataclass

from freqquest.choices import number_range
from freqquest.cluster.requirements import Requirements

REQUESTS_AT_ONCE = 8
"""Requests that a replica works on at once: while the network computes some, others decode."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeConfig:
    """Classify sounds, and find events in them, over HTTP."""

    model: str
    """Classifier: best_model.keras of a run. It carries its classes and spectrogram settings."""

    host: str = "127.0.0.1"
    """Address to listen on. By default, only this machine can reach it; 0.0.0.0 is every network
    that it is in, which needs `token_file`."""

    port: int = 8000
    """Port to listen on; 0 takes a free one."""

    token_file: str | None = None
    """File with a token in one line, of 16 characters or more, that requests must carry as
    "Authorization: Bearer TOKEN"."""

    certificate: str | None = None
    """File with a certificate, PEM, for HTTPS. Browsers offer the microphone only over HTTPS, or on
    this machine."""

    key: str | None = None
    """File with the certificate's private key, PEM."""

    max_size_mb: float = 50.0
    """Largest upload in megabytes."""

    time_limit_s: float = 60.0
    """Longest time from the start of a request to its answer; it limits the length of recordings,
    too."""

    replicas: str | int = "1"
    """Number of copies of the model, on a core or a GPU each, or MIN:MAX to have as many as the
    requests need."""

    max_batch: int = REQUESTS_AT_ONCE
    """Largest number of requests whose windows go through a copy of the model together."""

    use_gpu: bool = False
    """Give each copy of the model a GPU. Decoding takes longer than the network, so this rarely
    saves time."""

    def __post_init__(self) -> None:
        if not 0 <= self.port < 2**16:
            raise ValueError(f"`port={self.port}` must be from 0 to {2**16 - 1}")
        for name in ("max_size_mb", "time_limit_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"`{name}={getattr(self, name):g}` must be above 0")
        if not 1 <= self.max_batch <= REQUESTS_AT_ONCE:
            raise ValueError(
                f"`max_batch={self.max_batch}` must be from 1 to {REQUESTS_AT_ONCE}, the requests "
                "that a copy of the model works on at once"
            )
        if number_range("replicas", self.replicas)[0] < 1:
            raise ValueError(f"`replicas={self.replicas}` must be 1 or more")
        if (self.certificate is None) != (self.key is None):
            given, missing = ("certificate", "key") if self.certificate else ("key", "certificate")
            raise ValueError(f"`{given}` needs `{missing}`: HTTPS takes both files")
        if self.token_file is None and not self.is_on_loopback:
            raise ValueError(
                f"`host={self.host}` can be reached from other machines: give `token_file`, a file "
                "with a token in one line, or leave out `host`"
            )

    @property
    def is_on_loopback(self) -> bool:
        """True if only this machine can reach the address."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:  # a name
            return False

    @property
    def max_bytes(self) -> int:
        """Largest upload in bytes."""
        return round(self.max_size_mb * 1e6)

    @property
    def replica_range(self) -> tuple[int, int]:
        """Least and largest number of copies of the model."""
        return number_range("replicas", self.replicas)

    @property
    def requirements(self) -> Requirements:
        """Paths and resources that the job needs."""
        least, most = self.replica_range
        return Requirements(
            reads={"model": self.model},
            num_workers=least,
            max_workers=most if most > least else None,
            cpus_per_worker=1,
            use_gpu=self.use_gpu,
        )
