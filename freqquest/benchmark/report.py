"""A benchmark's figures: JSON with every run, and beside it a table for people."""

import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freqquest.storage import Location


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What `jobs/benchmark.py <command>` found."""

    command: str
    settings: dict[str, Any]
    about: str
    """On what, and how, in a phrase."""
    figures: dict[str, Any]
    """JSON-compatible."""
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    """Of the table."""

    def write(self, place: Location) -> str:
        """Write `<name>.json` and `<name>.md`; returns the latter's text."""
        machine = describe_processor()
        text = "\n".join(
            [
                f"`jobs/benchmark.py {self.command}`: {self.about}.",
                f"{machine['cores']} cores of {machine['processor']}, {machine['memory_gib']} GiB, "
                f"Python {machine['python']}.",
                "",
                f"| {' | '.join(self.header)} |",
                "|---" * len(self.header) + "|",
                *(f"| {' | '.join(row)} |" for row in self.rows),
            ]
        )
        content = {
            "about": self.about,
            "machine": machine,
            "settings": self.settings,
        } | self.figures
        place.write_text(json.dumps(content, indent=1) + "\n")
        (place.parent / f"{Path(place.name).stem}.md").write_text(text + "\n")
        return text


def describe_processor() -> dict[str, Any]:
    """What timings depend on."""
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "python": platform.python_version(),
    }
