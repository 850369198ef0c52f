"""Layout of `--help`: groups of options, placeholders for their values, and examples.

The settings' dataclasses are the documentation; this module only arranges them. Light to import.
"""

from collections.abc import Mapping
from typing import Literal, get_args, get_origin

ADVANCED = "advanced"
"""Group of the settings that no other group lists."""

_CLIPS = "sample_rate duration windows window_hop max_windows_per_file background_label"
_SPLIT = "split validation_fraction validation_fold recording_pattern"
_AUGMENTATION = "num_augmented_copies augmentations"
_SPECTROGRAMS = (
    "num_mels min_frequency max_frequency cnn_n_fft cnn_hop_length cgan_n_fft cgan_hop_length"
)
_EMBEDDING = "embedding embedding_rate embedding_tensor"
_COLUMNS = "path_column label_column label_separator recording_column fold_column split_column"
"""Groups of the dataset's settings, which the pipeline has too."""

GROUPS: Mapping[str, Mapping[str, str]] = {
    "PreprocessConfig": {
        "input and output": "audio_dir metadata annotations dataset_dir test_dir append overwrite "
        "verify",
        "clips": _CLIPS,
        "split": _SPLIT,
        "augmentation": _AUGMENTATION,
        "spectrograms": _SPECTROGRAMS,
        "pretrained network": _EMBEDDING,
        "columns of the table": _COLUMNS,
        ADVANCED: "max_quarantined_fraction clips_per_shard seed",
    },
    "TuneConfig": {
        "input and output": "dataset_dir run_dir extra_clips start_from track",
        "search": "preset classifier num_trials max_epochs num_folds only",
        "final model": "num_members audit_leakage",
        "cluster": "use_gpu trials_per_gpu mixed_precision cpus_per_trial",
        ADVANCED: "seed",
    },
    "PredictConfig": {
        "input and output": "model audio_dir output sample_submission windows probabilities "
        "overwrite",
        "unknown clips": "unknown precision",
        "cluster": "use_gpu",
        ADVANCED: "max_quarantined_fraction",
    },
    "DetectConfig": {
        "input and output": "model audio_dir output format report picture_dir annotations "
        "overwrite",
        "events": "hop min_confidence class_thresholds min_level min_contrast merge_gap "
        "min_duration",
        "cluster": "use_gpu piece_length",
        ADVANCED: "keep_parts max_quarantined_fraction max_reported",
    },
    "TrainConfig": {
        "input and output": "dataset_dir run_dir track",
        "training": "preset epochs batch_size sample_every",
        "judge": "judge judge_every judge_clips",
        "cluster": "use_gpu num_workers cpus_per_worker",
        ADVANCED: "seed",
    },
    "GenerateConfig": {
        "input and output": "generator output_dir overwrite",
        "clips": "label num_clips seed",
        "candidates": "oversample judge",
        "cluster": "use_gpu",
    },
    "ExportConfig": {
        "input and output": "model format output overwrite",
        "comparison and precision": "dataset_dir int8",
    },
    "PipelineConfig": {
        "input and output": "audio_dir metadata annotations test_dir sample_submission run_dir "
        "track",
        "training and generation": "preset num_trials max_epochs num_members epochs "
        "batch_size num_clips",
        "clips": _CLIPS,
        "split": _SPLIT,
        "augmentation": _AUGMENTATION,
        "spectrograms": _SPECTROGRAMS,
        "pretrained network": _EMBEDDING,
        "columns of the table": _COLUMNS,
        "cluster": "use_gpu num_workers",
        ADVANCED: "max_quarantined_fraction clips_per_shard seed",
    },
    "ServeConfig": {
        "input": "model",
        "server": "host port token_file certificate key",
        "limits": "max_size_mb time_limit_s",
        "cluster": "replicas max_batch use_gpu",
    },
    "WatchConfig": {
        "input and output": "run_dir",
        "server": "port interval_s",
    },
}
"""Fields of each settings class, by group, the most used first."""

_PLACEHOLDERS: Mapping[str, str] = {
    "metadata": "CSV",
    "annotations": "PATH",
    "sample_rate": "HZ",
    "embedding": "FILE",
    "embedding_rate": "HZ",
    "embedding_tensor": "NAME",
    "min_frequency": "HZ",
    "max_frequency": "HZ",
    "duration": "SECONDS",
    "window_hop": "SECONDS",
    "hop": "SECONDS",
    "merge_gap": "SECONDS",
    "min_duration": "SECONDS",
    "piece_length": "SECONDS",
    "min_level": "DB",
    "min_contrast": "DB",
    "min_confidence": "P",
    "report": "FILE",
    "path_column": "NAME",
    "label_column": "NAME",
    "label_separator": "TEXT",
    "recording_column": "NAME",
    "fold_column": "NAME",
    "split_column": "NAME",
    "sample_submission": "CSV",
    "extra_clips": "DIR",
    "model": "FILE",
    "judge": "FILE",
    "start_from": "FILE",
    "generator": "FILE",
    "output": "FILE",
    "label": "CLASS",
    "background_label": "CLASS",
    "recording_pattern": "REGEX",
    "num_workers": "N|MIN:MAX",
    "batch_size": "N|auto",
    "only": "NAME=VALUE[,VALUE...] ...",
    "folds": "FOLD ...",
    "port": "PORT",
    "host": "ADDRESS",
    "token_file": "FILE",
    "certificate": "FILE",
    "key": "FILE",
    "max_size_mb": "MB",
    "replicas": "N|MIN:MAX",
}
"""Placeholders of fields whose value neither the ending of their name nor their type describes."""

EXAMPLES: Mapping[str, tuple[str, str]] = {
    "preprocess": (
        "--audio-dir train --dataset-dir data/clips",
        "--audio-dir s3://bucket/clips --metadata clips.csv --dataset-dir s3://bucket/dataset",
    ),
    "tune_cnn": (
        "--dataset-dir data/clips --run-dir results/cnn",
        "--dataset-dir data/clips --run-dir results/folds --num-folds 5 --num-trials 16 --use-gpu",
    ),
    "predict": (
        "--model results/cnn/best_model.keras --audio-dir test --output submission.csv",
        "--model results/cnn/best_model.keras --audio-dir test --output predictions.csv "
        "--sample-submission sample_submission.csv --probabilities",
    ),
    "detect": (
        "--model results/cnn/best_model.keras --audio-dir recordings --output events.csv",
        "--model results/cnn/best_model.keras --audio-dir recordings --output labels "
        "--format audacity --report detections.html --annotations truth.csv",
    ),
    "train_cgan": (
        "--dataset-dir data/clips --run-dir results/cgan --judge results/cnn/best_model.keras",
        "--dataset-dir data/clips --run-dir results/long --judge results/cnn/best_model.keras "
        "--epochs 1000 --num-workers 1:4 --use-gpu",
    ),
    "generate": (
        "--generator results/cgan/generator.safetensors --label siren --output-dir sounds",
        "--generator results/cgan/generator.safetensors --label all --num-clips 100 --seed 1 "
        "--output-dir sounds --oversample 4 --judge results/cnn/best_model.keras",
    ),
    "export": (
        "--model results/cnn/best_model.keras --format onnx --output classifier.onnx",
        "--model results/cnn/best_model.keras --format litert --output classifier.tflite --int8 "
        "--dataset-dir data/clips",
    ),
    "pipeline": (
        "",
        "--audio-dir train --test-dir test --run-dir results/mine",
    ),
    "serve": (
        "--model results/cnn/best_model.keras",
        "--model results/cnn/best_model.keras --host 0.0.0.0 --token-file token.txt "
        "--certificate cert.pem --key key.pem --replicas 1:4",
    ),
    "watch": (
        "--run-dir results/demo",
        "--run-dir s3://bucket/results --port 0",
    ),
    "benchmark preprocess": ("", "--audio-dir clips --num-clips 1000 --num-runs 1"),
    "benchmark cnn": (
        "--dataset-dir data/clips",
        "--dataset-dir data/clips --folds 1 2 --num-seeds 1",
    ),
    "benchmark extra": (
        "--dataset-dir data/clips --extra-clips sounds",
        "--dataset-dir data/clips --extra-clips sounds --num-seeds 5",
    ),
    "benchmark few_clips": (
        "--dataset-dir data/clips",
        "--dataset-dir data/clips --sizes 5 20 --num-draws 1",
    ),
    "benchmark unknown": (
        "--dataset-dir data/clips",
        "--dataset-dir data/clips --num-classes 3 --max-epochs 5",
    ),
    "benchmark tune": (
        "--dataset-dir data/clips",
        "--dataset-dir data/clips --num-trials 32",
    ),
    "benchmark detect": ("", "--model results/cnn/best_model.keras --hours 0.5 2"),
    "benchmark events": (
        "--dataset-dir data/clips",
        "--dataset-dir data/clips --folds 1 2 --num-seeds 1",
    ),
    "benchmark inversion": ("", "--audio-dir clips --clips-per-class 16"),
    "benchmark cgan": (
        "--dataset-dir data/clips",
        "--dataset-dir data/clips --use-gpu --num-runs 5",
    ),
    "benchmark generators": (
        "--audio-dir train --metadata metadata.csv",
        "--audio-dir train --metadata metadata.csv --folds 1 --num-seeds 1 --epochs 20",
    ),
    "benchmark export": (
        "--model results/cnn/best_model.keras --dataset-dir data/clips",
        "--model results/cnn/best_model.keras --dataset-dir data/clips --output /tmp/export.json",
    ),
    "benchmark serve": ("", "--model results/cnn/best_model.keras --num-clients 1 5 50"),
    "benchmark scale": ("", "--audio-dir clips --num-nodes 1 2 4"),
    "benchmark start": ("", "--num-runs 1"),
    "benchmark many_clips": ("", "--num-clips 1000 10000"),
    "benchmark chaos": ("", "--num-rounds 5 --mean-interval-s 8"),
}
"""Two command lines for each job."""


def groups_of(config_name: str, fields: Mapping[str, object]) -> dict[str, list[str]]:
    """Return the groups of a settings class, without empty ones; each field is in one group."""
    if config_name in GROUPS:
        groups = {title: names.split() for title, names in GROUPS[config_name].items()}
    else:
        groups = _benchmark_groups(fields)
    listed = {name for names in groups.values() for name in names}
    groups.setdefault(ADVANCED, []).extend(name for name in fields if name not in listed)
    present = {title: [name for name in names if name in fields] for title, names in groups.items()}
    return {title: names for title, names in present.items() if names}


def _benchmark_groups(fields: Mapping[str, object]) -> dict[str, list[str]]:
    """Return the groups of a benchmark's settings."""
    paths = [name for name in fields if placeholder(name, str) in ("DIR", "FILE", "CSV")]
    paths.sort(key=lambda name: name == "output")  # inputs first
    paths.append("overwrite")
    measured = [name for name in fields if name not in (*paths, "use_gpu")]
    return {"input and output": paths, "measurement": measured, "cluster": ["use_gpu"]}


def placeholder(name: str, kind: object) -> str | None:
    """Return the placeholder of a field's value in `--help`; None leaves it to the parser.

    Args:
        name: Name of the field.
        kind: Type of the field, without None.
    """
    if name in _PLACEHOLDERS:
        return _PLACEHOLDERS[name]
    if name.endswith("_dir"):
        return "DIR"
    if kind is int:
        return "N"
    if kind is float:
        return "SECONDS" if name.endswith("_s") else "X"
    if get_origin(kind) is tuple:
        first, *others = get_args(kind)
        if get_origin(first) is Literal:
            return f"{{{','.join(get_args(first))}}} ..."
        return "N N" if others == [int] else "N ..."
    return None
