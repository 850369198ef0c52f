"""Classify a folder of clips into a submission (Ray Data)."""

from freqquest.commands import run_file

if __name__ == "__main__":
    run_file("predict")
