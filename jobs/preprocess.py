"""Turn a folder of labelled clips into a sharded spectrogram dataset (Ray Data)."""

from freqquest.command import clear_errors, parse
from freqquest.dataset.config import PreprocessConfig


def main() -> None:
    config = parse(PreprocessConfig, __doc__)
    with clear_errors():
        from freqquest.dataset.write import preprocess

        print(preprocess(config))


if __name__ == "__main__":
    main()
