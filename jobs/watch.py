"""Open TensorBoard on a run's logs, wherever they lie: of remote storage it shows a copy that follows them."""

from freqquest.cli import parse, report_errors
from freqquest.runs.tensorboard_server import WatchConfig, watch


def main() -> None:
    config = parse(WatchConfig, __doc__)
    with report_errors():
        watch(config)


if __name__ == "__main__":
    main()
