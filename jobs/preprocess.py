"""Turn a folder of labelled clips into a sharded spectrogram dataset (Ray Data)."""

from freqquest.command import on_ray, parse
from freqquest.dataset.config import PreprocessConfig


def main() -> None:
    config = parse(PreprocessConfig, __doc__)
    with on_ray():
        from freqquest.dataset.write import write_dataset

        print(write_dataset(config).summary(config.dataset_dir))


if __name__ == "__main__":
    main()
