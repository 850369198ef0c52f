"""A job's requirements on the cluster and the storage. Light to import, as the settings are."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirements:
    """A job's requirements on the cluster and the storage, derived from its settings."""

    reads: dict[str, str | None] = field(default_factory=dict)
    """Files and folders to read, by the setting's name; None if it was not given."""

    writes: dict[str, str] = field(default_factory=dict)
    """Folders to write, by the setting's name; they need not exist."""

    num_workers: int = 1
    """Number of workers that run side by side; at least, if `max_workers` is given."""

    max_workers: int | None = None
    """Largest number of workers, if their number may change."""

    cpus_per_worker: int | None = None
    """CPU cores of each worker; None takes as many as there are."""

    use_gpu: bool = False
    """True if each worker needs a GPU."""

    def __str__(self) -> str:
        workers = f"{self.num_workers} worker(s)"
        if self.max_workers:
            workers = f"{self.num_workers} to {self.max_workers} worker(s)"
        cores = f"{self.cpus_per_worker} core(s)" if self.cpus_per_worker else "1 core or more"
        return f"{workers}, each {cores}{' and a GPU' if self.use_gpu else ''}"
