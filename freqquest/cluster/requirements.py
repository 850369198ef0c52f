"""What a job asks of the cluster and of the storage, as its settings tell. Light to import, as settings are."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirements:
    """What a job asks for, as its settings tell."""

    reads: dict[str, str | None] = field(default_factory=dict)
    """Files and folders, by option; None where the option was not given."""
    writes: dict[str, str] = field(default_factory=dict)
    """Folders, by option; they may be yet to be made."""
    num_workers: int = 1
    most_workers: int | None = None
    """Where the number of workers may change."""
    cpus_per_worker: int | None = None
    """None takes what there is."""
    use_gpu: bool = False

    def __str__(self) -> str:
        count = (
            f"{self.num_workers} to {self.most_workers}"
            if self.most_workers
            else str(self.num_workers)
        )
        cores = (
            "1 core or more" if self.cpus_per_worker is None else f"{self.cpus_per_worker} core(s)"
        )
        return f"{count} worker(s), each {cores}{' and a GPU' if self.use_gpu else ''}"
