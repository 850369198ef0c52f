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

REPORT_FILES_DIR = "report_files"
"""Sounds that the report links, if they would make its file too large."""

FIGURES_DIR = "figures"
"""Plots that the report shows, of the run or of its dataset."""

# Dataset

DEMO_DIR = "demo"
"""Demo clips, made if the user has none."""

DATASET_DIR = "dataset"
"""Dataset that the pipeline makes."""

QUARANTINE_NAME = "quarantine.csv"
WARNINGS_NAME = "warnings.csv"
"""Table of rejected clips, in the dataset."""

EXAMPLES_NAME = "spectrograms.png"
"""Plot of a training clip of each class, among the dataset's figures."""

COUNTS_NAME = "counts.png"
"""Plot of the numbers of clips and recordings, among the dataset's figures."""

# Classifier

MODEL_NAME = "best_model.keras"
"""Final classifier, with its classes and spectrogram settings."""

TRIALS_NAME = "trials.csv"
"""Table of all trials of the search."""

TRIALS_DIR = "trials"
"""Ray Tune's state and checkpoints of the trials."""

NETWORKS_DIR = "networks"
"""Trained networks of the final classifier and of the leakage audit; a resumed run reuses them."""

CONFUSION_MATRIX_NAME = "confusion_matrix.png"
"""Confusion matrix of the validation clips."""

CLASS_SCORES_NAME = "class_scores.png"
"""Metrics of each class instead, if clips have several labels."""

PREDICTIONS_NAME = "validation_predictions.csv"
"""Labels, answer and probabilities of each validation clip."""

VALIDATION_CLIPS_NAME = "validation_clips.parquet"
"""Sounds and pictures of those of these clips that the report shows."""

LEARNING_CURVES_NAME = "learning_curves.png"
"""Plot of each trial's score by epoch, among the figures."""

SEARCH_PROGRESS_NAME = "search_progress.png"
"""Plot of the best score so far by minutes, among the figures."""

RELIABILITY_NAME = "reliability.png"
"""Plot of accuracy against confidence, among the figures."""

COVERAGE_NAME = "coverage.png"
"""Plot of precision over the share of clips with an answer, among the figures."""

IMPORTANCE_NAME = "importance.png"
"""Plot of the importance of each setting, among the figures of a search with enough trials."""

SUBMISSION_NAME = "submission.csv"
"""Predicted class of each test clip."""

# Generator

GENERATOR_NAME = "generator.safetensors"
"""Generator of the kept epoch, with its classes and spectrogram settings."""

CGAN_EPOCHS_NAME = "cgan_epochs.csv"
"""Metrics of each training epoch of the generator."""

TRACKED_RUN_NAME = "tracked_run.json"
"""ID of the generator's run in MLflow or Weights & Biases, in which its training goes on."""

LOSSES_NAME = "cgan_losses.png"
"""Plot of both losses by epoch, among the figures."""

EVALUATIONS_NAME = "cgan_judge.png"
"""Plot of the judge's metrics by epoch, among the figures."""

CHECKPOINTS_DIR = "checkpoints"
"""Checkpoints of the generator's training, and Ray Train's own state."""

SAMPLES_DIR = "samples"
"""WAV files of generated clips, named by `sample_name`."""

SPECTROGRAMS_DIR = "spectrograms"
"""Pictures of generated clips, named by `picture_name`."""

JUDGE_TABLE_NAME = "judge.txt"
"""Final evaluation of the generator, as a text table."""

NEAREST_CLIPS_NAME = "nearest_clips.parquet"
"""Some generated clips and the real training clip nearest to each, with sounds and pictures."""

GENERATED_DIR = "generated"
"""WAV files that the pipeline generates at the end."""

GENERATED_NAME = "generated.csv"
"""Class that the classifier predicts for each of these files."""


def sample_name(label: str, epoch: int | None) -> str:
    """Return the name of a class's WAV file of an epoch."""
    return f"{label}_ep{epoch}.wav"


def picture_name(epoch: int) -> str:
    """Return the name of an epoch's picture."""
    return f"epoch_{epoch:03d}.png"
