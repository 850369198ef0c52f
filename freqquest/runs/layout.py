"""Names of the files and folders in a run folder, each declared once.

A run folder belongs to one run; each stage adds its own files. Imports nothing.
"""

# Every run

CONFIG_NAME = "config.json"
"""Settings of each stage, one section per stage."""

METRICS_NAME = "metrics.json"
"""Metrics of each finished stage, one section per stage."""

LOCK_NAME = ".lock"
"""Empty file that the operating system locks while a job works in a local run folder."""

TENSORBOARD_DIR = "tensorboard"
"""TensorBoard event files, one folder per stage."""

REPORT_NAME = "report.html"
"""Report of the whole run."""

FIGURES_DIR = "figures"
"""Plots that the report shows."""

# Dataset

DEMO_DIR = "demo"
"""Demo clips, made if the user has none."""

DATASET_DIR = "dataset"
"""Dataset that the pipeline makes."""

# Classifier

MODEL_NAME = "best_model.keras"
"""Final classifier, with its classes and spectrogram settings."""

TRIALS_NAME = "trials.csv"
"""Table of all trials of the search."""

TRIALS_DIR = "trials"
"""Ray Tune's state and checkpoints of the trials."""

NETWORKS_DIR = "networks"
"""Trained members of the final classifier, kept until it is whole."""

CONFUSION_MATRIX_NAME = "confusion_matrix.png"
"""Confusion matrix of the validation clips."""

SUBMISSION_NAME = "submission.csv"
"""Predicted class of each test clip."""

# Generator

GENERATOR_NAME = "generator.safetensors"
"""Generator of the kept epoch, with its classes and spectrogram settings."""

CGAN_EPOCHS_NAME = "cgan_epochs.csv"
"""Metrics of each training epoch of the generator."""

CHECKPOINTS_DIR = "checkpoints"
"""Checkpoints of the generator's training, and Ray Train's own state."""

SAMPLES_DIR = "samples"
"""WAV files of generated clips: `<class>_ep<epoch>.wav`."""

SPECTROGRAMS_DIR = "spectrograms"
"""Pictures of generated clips: `epoch_<epoch>.png`."""

JUDGE_TABLE_NAME = "judge.txt"
"""Final evaluation of the generator, as a text table."""

GENERATED_DIR = "generated"
"""WAV files that the pipeline generates at the end."""

GENERATED_NAME = "generated.csv"
"""Class that the classifier predicts for each of these files."""
