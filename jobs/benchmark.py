"""Measure this machine or cluster: freqquest against the published recipes, and against its limits."""

from importlib import import_module

from freqquest.benchmark.config import (
    CganBenchmark,
    CnnBenchmark,
    ExtraBenchmark,
    InversionBenchmark,
    PreprocessBenchmark,
    TuneBenchmark,
)
from freqquest.command import clear_errors, on_ray, parse_one_of

_BENCHMARKS = {
    "preprocess": (PreprocessBenchmark, clear_errors),
    "cnn": (CnnBenchmark, on_ray),
    "extra": (ExtraBenchmark, on_ray),
    "tune": (TuneBenchmark, on_ray),
    "inversion": (InversionBenchmark, clear_errors),
    "cgan": (CganBenchmark, clear_errors),
}
"""Settings of each, and what it runs in; `benchmark_<name>` of the module of that name does it."""


def main() -> None:
    config = parse_one_of({name: settings for name, (settings, _) in _BENCHMARKS.items()}, __doc__)
    name, surroundings = next((name, run_in) for name, (kind, run_in) in _BENCHMARKS.items() if type(config) is kind)
    with surroundings():
        print(getattr(import_module(f"freqquest.benchmark.{name}"), f"benchmark_{name}")(config))


if __name__ == "__main__":
    main()
