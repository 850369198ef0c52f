"""Base class of the settings of all benchmarks.

Light to import, as every `<name>_config.py` is, because `--help` reads them.
"""

import posixpath
from dataclasses import dataclass

from freqquest.cluster.requirements import Requirements
from freqquest.errors import UserError

_INPUTS = ("model", "dataset_dir", "audio_dir", "extra_clips")


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkConfig:
    """Base class of the settings of each benchmark."""

    output: str
    """File that the results are written to."""

    overwrite: bool = False
    """Replace earlier results in `output`."""

    @property
    def requirements(self) -> Requirements:
        """Paths that the benchmark reads and writes."""
        reads = {name: getattr(self, name, None) for name in _INPUTS}
        return Requirements(reads=reads, writes={"output": posixpath.dirname(self.output) or "."})

    def require_new_output(self) -> None:
        """Require that no results are lost.

        Raises:
            UserError: The output exists, and may not be replaced.
        """
        from freqquest.storage import locate

        if not self.overwrite and locate(self.output).exists():
            raise UserError(
                f"`output={self.output}` exists: choose another file, or pass `overwrite=True`"
            )

    def require_json_output(self) -> None:
        """Require that `output` is a JSON file.

        Raises:
            ValueError: It is not.
        """
        if not self.output.endswith(".json"):
            raise ValueError(f"`output={self.output}` must end in .json")

    def require_each_once(self, *names: str) -> None:
        """Require that the named tuples have values, and none twice.

        Raises:
            ValueError: One is empty, or has a value twice.
        """
        for name in names:
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                shown = " ".join(map(str, values))
                raise ValueError(f"`{name}={shown}` must name one or more, each once")

    def require_positive(self, *names: str) -> None:
        """Require that the named numbers, and all numbers of a named tuple, are None or at least 1.

        Raises:
            ValueError: One is smaller.
        """
        for name in names:
            value = getattr(self, name)
            numbers = value if isinstance(value, tuple) else (value,)
            if any(number is not None and number < 1 for number in numbers):
                raise ValueError(f"`{name}={' '.join(map(str, numbers))}` must be 1 or more")
