"""Open TensorBoard on a run's logs, wherever they lie: of remote storage it shows a copy that follows them."""

from freqquest.command import clear_errors, parse
from freqquest.runs.watch import WatchConfig, watch


def main() -> None:
    config = parse(WatchConfig, __doc__)
    with clear_errors():
        watch(config)


if __name__ == "__main__":
    main()
