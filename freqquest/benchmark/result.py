"""Results of a benchmark: JSON with every measurement, and a Markdown table beside it."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from freqquest.benchmark.machine import describe_hardware
from freqquest.storage import Location


def mean_and_range(values: Sequence[float]) -> str:
    """Return a cell of a table."""
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkResult:
    """Everything that one benchmark found."""

    name: str
    settings: Mapping[str, object]
    about: str
    """Phrase that says what was measured, and how."""
    measurements: Mapping[str, object]
    """JSON-compatible values."""
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def write(self, output: Location) -> str:
        """Write `<name>.json` and `<name>.md`, and return the text of the latter."""
        hardware = describe_hardware()
        content = {
            "about": self.about,
            "machine": hardware,
            "settings": self.settings,
            **self.measurements,
        }
        text = "\n".join(
            [
                f"Benchmark `{self.name}`: {self.about}.",
                f"{hardware['cores']} cores of {hardware['processor']}, "
                f"{hardware['memory_gib']} GiB, Python {hardware['python']}.",
                "",
                f"| {' | '.join(self.header)} |",
                "|---" * len(self.header) + "|",
                *(f"| {' | '.join(row)} |" for row in self.rows),
            ]
        )
        output.write_text(json.dumps(content, indent=1) + "\n")
        (output.parent / f"{Path(output.name).stem}.md").write_text(text + "\n")
        return text
