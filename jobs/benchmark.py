"""Measure this machine: freqquest against the published recipes' own loops."""

from freqquest.benchmark.config import PreprocessBenchmark
from freqquest.command import clear_errors, parse_one_of


def main() -> None:
    config = parse_one_of({"preprocess": PreprocessBenchmark}, __doc__)
    with clear_errors():
        from freqquest.benchmark.preprocess import benchmark_preprocess

        print(benchmark_preprocess(config))


if __name__ == "__main__":
    main()
