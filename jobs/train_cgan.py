"""Train a generator of new clips of each class of a dataset (Ray Train, PyTorch)."""

from freqquest.cgan.config import TrainConfig
from freqquest.cli import connected_to_ray, parse


def main() -> None:
    config = parse(TrainConfig, __doc__)
    with connected_to_ray(config.requirements):
        from freqquest.pipeline import train_generator
        from freqquest.runs.report import write_report

        train_generator(config)
        print(write_report(config.run_dir))


if __name__ == "__main__":
    main()
