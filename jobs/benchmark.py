"""Measure this machine or cluster: freqquest against the published recipes, and against its limits."""

from importlib import import_module

from freqquest.benchmark.config import (
    CganBenchmark,
    CnnBenchmark,
    ExtraBenchmark,
    InversionBenchmark,
    PreprocessBenchmark,
    ScaleBenchmark,
    TuneBenchmark,
)
from freqquest.cli import connected_to_ray, parse_one_of, report_errors

_BENCHMARKS = {
    "preprocess": PreprocessBenchmark,
    "cnn": CnnBenchmark,
    "extra": ExtraBenchmark,
    "tune": TuneBenchmark,
    "inversion": InversionBenchmark,
    "cgan": CganBenchmark,
    "scale": ScaleBenchmark,
}
"""Settings of each; `benchmark_<name>` of the module of that name does it."""

_ON_RAY = {"cnn", "extra", "tune"}
"""The others start what they measure."""


def main() -> None:
    config = parse_one_of(_BENCHMARKS, __doc__)
    name = next(name for name, kind in _BENCHMARKS.items() if type(config) is kind)
    with connected_to_ray(config.requirements) if name in _ON_RAY else report_errors():
        print(getattr(import_module(f"freqquest.benchmark.{name}"), f"benchmark_{name}")(config))


if __name__ == "__main__":
    main()
