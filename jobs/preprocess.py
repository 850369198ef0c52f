"""Turn a folder of labeled clips into a sharded spectrogram dataset (Ray Data)."""

from freqquest.commands import run_file

if __name__ == "__main__":
    run_file("preprocess")
