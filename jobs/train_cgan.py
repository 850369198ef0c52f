"""Train a generator of new clips of each class of a dataset (Ray Train, PyTorch)."""

from freqquest.commands import run_file

if __name__ == "__main__":
    run_file("train_cgan")
