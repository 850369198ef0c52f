"""Limit of the unreadable files that a job accepts. Light to import."""


def check_quarantined_fraction(fraction: float) -> None:
    """Check a limit of unreadable files.

    Raises:
        ValueError: It is no fraction.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"`max_quarantined_fraction={fraction}` must be from 0 to 1")


def are_too_many(num_rejected: int, num_files: int, max_fraction: float) -> bool:
    """Return whether more files are rejected than a limit allows: one always, unless it is 0."""
    return num_rejected > max(1 if max_fraction else 0, max_fraction * num_files)
