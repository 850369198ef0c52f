"""Open TensorBoard on a run's logs, also in remote storage."""

from freqquest.commands import run_file

if __name__ == "__main__":
    run_file("watch")
