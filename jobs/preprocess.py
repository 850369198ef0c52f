"""Turn a folder of labeled clips into a sharded spectrogram dataset (Ray Data)."""

from freqquest.cli import parse, report_errors
from freqquest.dataset.config import PreprocessConfig


def main() -> None:
    config = parse(PreprocessConfig, __doc__)
    with report_errors():
        from freqquest.dataset.write import preprocess

        print(preprocess(config))


if __name__ == "__main__":
    main()
