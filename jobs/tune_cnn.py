"""Search for the classifier that is best on unseen recordings (Ray Tune, Keras)."""

from freqquest.commands import run_file

if __name__ == "__main__":
    run_file("tune_cnn")
