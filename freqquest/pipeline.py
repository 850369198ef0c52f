"""All stages, one after the other, in one run folder: the main job's logic.

Each stage is imported when it begins. Stages know nothing of each other; what one leaves in the run folder, the next
one takes up.
"""

import dataclasses
import io
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from freqquest.cgan.config import TrainConfig
from freqquest.cluster import capacity
from freqquest.cnn.config import PredictConfig
from freqquest.pipeline_config import CNN_BUDGET, PATHS, PipelineConfig
from freqquest.runs.folder import RunFolder
from freqquest.storage import Location, locate, upload_dir

_NOT_COMPARED = {"run_dir", "num_workers", "use_gpu"}
"""Settings that do not shape the results."""


def run_pipeline(config: PipelineConfig) -> str:
    """Run every stage that the run folder does not hold yet.

    Needs an initialized Ray.

    Returns:
        The closing summary, for people.

    Raises:
        UserError: Something the user gave cannot work; found before any long work wherever it can be.
    """
    capacity.worker_resources(config.requirements)
    _check_sources(config)
    folder = RunFolder(config.run, "pipeline", _settings(config))
    folder.begin()
    run = folder.location
    training, test_labels = config.train, None
    if config.audio_dir is None:
        config, test_labels = _with_demo_clips(config, run)

    _preprocess(config)
    from freqquest.cnn.tune import tune_cnn

    tune_cnn(config.tune)
    if config.test_dir is not None:
        _predict(config, test_labels)
    train_generator(training)
    _generate_and_judge(config)
    from freqquest.runs.report import write_report

    return write_report(config.run)


def train_generator(config: TrainConfig) -> dict[str, Any]:
    """Train a generator, with a classifier as its judge if the settings name one: neither stage knows the other.

    Needs an initialized Ray; returns and raises as freqquest.cgan.train.train does.
    """
    from freqquest.cgan.train import train
    from freqquest.cnn.judge import start_judge

    if config.judge is None:
        return train(config)
    return train(config, partial(start_judge, locate(config.judge)))


def _settings(config: PipelineConfig) -> dict[str, Any]:
    """What shapes the results, with paths that mean the same from every folder."""
    settings = {
        name: value
        for name, value in dataclasses.asdict(config).items()
        if name not in _NOT_COMPARED
    }
    return settings | {
        name: str(locate(settings[name])) for name in PATHS if settings[name] is not None
    }


def _check_sources(config: PipelineConfig) -> None:
    """Refuse what later stages would stumble over."""
    if config.audio_dir is None:
        return
    from freqquest.cnn.predict import list_wanted
    from freqquest.dataset.plan import plan_dataset

    plan_dataset(config.preprocess)
    if config.test_dir is not None:
        list_wanted(config.test_dir, config.sample_submission)


def _with_demo_clips(config: PipelineConfig, run: Location) -> tuple[PipelineConfig, Location]:
    """The settings with demo clips as the user's folder, and the CSV of the test clips' true classes."""
    folder = run / "demo"
    _make_demo_clips(folder, config.seed)
    budget = {name: getattr(config.tune, name) for name in CNN_BUDGET}
    with_clips = dataclasses.replace(
        config,
        audio_dir=str(folder / "train"),
        test_dir=str(folder / "test"),
        sample_submission=str(folder / "sample_submission.csv"),
        run_dir=config.run,
        **budget,
    )
    return with_clips, folder / "test_labels.csv"


def _make_demo_clips(folder: Location, seed: int) -> None:
    """Write them; into remote storage by way of a local folder, once."""
    from freqquest.audio.demo_clips import DEMO_NAME, DemoConfig, write_demo_clips

    if folder.is_local:
        write_demo_clips(Path(folder.path), DemoConfig(seed=seed))
    elif not (folder / DEMO_NAME).exists():
        with tempfile.TemporaryDirectory() as made:
            write_demo_clips(Path(made), DemoConfig(seed=seed))
            finished = (Path(made) / DEMO_NAME).read_bytes()
            (Path(made) / DEMO_NAME).unlink()
            upload_dir(Path(made), folder)
            (folder / DEMO_NAME).write_bytes(finished)


def _preprocess(config: PipelineConfig) -> None:
    from freqquest.dataset.write import write_dataset

    manifest = write_dataset(config.preprocess)
    run = RunFolder(config.run, "dataset", manifest.settings)
    if run.finished() is None:
        names = ("classes", "num_clips", "num_recordings", "num_quarantined", "split_description")
        run.finish({name: getattr(manifest, name) for name in names})


def _predict(config: PipelineConfig, test_labels: Location | None) -> None:
    """Write the submission; where the true classes are known, score it."""
    from freqquest.cnn.predict import predict_submission

    assert config.test_dir is not None
    run = RunFolder(config.run, "submission", {})
    if run.finished() is not None:
        return
    predictions = predict_submission(
        PredictConfig(
            model=f"{config.run}/best_model.keras",
            audio_dir=config.test_dir,
            output=f"{config.run}/submission.csv",
            sample_submission=config.sample_submission,
            overwrite=True,
        )
    )
    metrics: dict[str, Any] = {
        "num_clips": len(predictions),
        "num_unreadable": int((predictions["reason"] != "").sum()),
    }
    if test_labels is not None:
        import pandas as pd

        truth = predictions[["ID"]].merge(
            pd.read_csv(io.BytesIO(test_labels.read_bytes())), on="ID"
        )["Class"]
        metrics["accuracy"] = float((predictions["Class"] == truth).mean())
    run.finish(metrics)


def _generate_and_judge(config: PipelineConfig) -> None:
    """Make clips of each class, and ask the classifier what it hears."""
    from freqquest.cgan.generate import generate_clips
    from freqquest.cnn.model_file import read_card
    from freqquest.cnn.predict import predict_clips
    from freqquest.runs.tables import write_csv

    run = RunFolder(config.run, "generated", {"num_clips": config.num_clips, "seed": config.seed})
    if run.finished() is not None:
        return
    clips = generate_clips(config.generate)
    model_file = locate(f"{config.run}/best_model.keras")
    heard = predict_clips(model_file, read_card(model_file), [clip.path for clip in clips])
    heard = heard.assign(label=[clip.label for clip in clips], path=[clip.name for clip in clips])
    write_csv(heard[["path", "label", "Class", "probability"]], run / "generated.csv")
    right = heard["label"] == heard["Class"]
    run.finish(
        {
            "judge_accuracy": float(right.mean()),
            "by_class": {
                str(label): float(share)
                for label, share in right.groupby(heard["label"]).mean().items()
            },
            "num_clips": len(heard),
            "clips": heard[["path", "label", "Class"]].to_dict("records"),
        }
    )
