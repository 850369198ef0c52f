"""Names of the files and folders in a folder of demo clips. Imports nothing."""

TRAIN_DIR = "train"
"""Training clips, one folder a class."""

TEST_DIR = "test"
"""Unlabeled test clips."""

SAMPLE_SUBMISSION_NAME = "sample_submission.csv"
"""Table of the test clips in the order of a submission."""

TEST_LABELS_NAME = "test_labels.csv"
"""Table of the test clips' classes."""

DEMO_NAME = "demo.json"
"""File with the folder's configuration. It is written last, so the folder is then complete."""
