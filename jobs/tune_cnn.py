"""Search for the classifier that hears a dataset's unseen recordings best (Ray Tune, Keras)."""

from freqquest.cli import connected_to_ray, parse
from freqquest.cnn.config import TuneConfig


def main() -> None:
    config = parse(TuneConfig, __doc__)
    with connected_to_ray(config.requirements):
        from freqquest.cnn.tune import tune_cnn
        from freqquest.runs.report import write_report

        tune_cnn(config)
        print(write_report(config.run_dir))


if __name__ == "__main__":
    main()
