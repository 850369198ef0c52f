"""Measure this machine or cluster: freqquest against the published recipes, and against its limits."""

from freqquest.benchmark.config import (
    CnnBenchmark,
    ExtraBenchmark,
    InversionBenchmark,
    PreprocessBenchmark,
    TuneBenchmark,
)
from freqquest.command import clear_errors, on_ray, parse_one_of


def main() -> None:
    config = parse_one_of(
        {
            "preprocess": PreprocessBenchmark,
            "cnn": CnnBenchmark,
            "extra": ExtraBenchmark,
            "tune": TuneBenchmark,
            "inversion": InversionBenchmark,
        },
        __doc__,
    )
    if isinstance(config, PreprocessBenchmark):
        with clear_errors():
            from freqquest.benchmark.preprocess import benchmark_preprocess

            print(benchmark_preprocess(config))
    elif isinstance(config, InversionBenchmark):
        with clear_errors():
            from freqquest.benchmark.inversion import benchmark_inversion

            print(benchmark_inversion(config))
    elif isinstance(config, CnnBenchmark):
        with on_ray():
            from freqquest.benchmark.cnn import benchmark_cnn

            print(benchmark_cnn(config))
    elif isinstance(config, ExtraBenchmark):
        with on_ray():
            from freqquest.benchmark.extra import benchmark_extra

            print(benchmark_extra(config))
    else:
        with on_ray():
            from freqquest.benchmark.tune import benchmark_tune

            print(benchmark_tune(config))


if __name__ == "__main__":
    main()
