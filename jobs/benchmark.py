"""Measure this machine or cluster: compare freqquest with the published recipes and its limits."""

from freqquest.benchmark.registry import BENCHMARKS
from freqquest.cli import connected_to_ray, parse_one_of, report_errors


def main() -> None:
    config = parse_one_of({name: each.config_type for name, each in BENCHMARKS.items()}, __doc__)
    benchmark = next(each for each in BENCHMARKS.values() if each.config_type is type(config))
    with connected_to_ray(config.requirements) if benchmark.on_ray else report_errors():
        print(benchmark.run(config))


if __name__ == "__main__":
    main()
