"""All stages, one after the other, in one run folder.

Each stage is imported when it begins. Stages know nothing of each other: each reads what earlier
ones left in the run folder.
"""

import dataclasses
import io
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from freqquest.cgan.config import TrainConfig
from freqquest.cluster import capacity
from freqquest.cluster.tasks import release_on_interrupt
from freqquest.cnn.config import PredictConfig
from freqquest.pipeline_config import CNN_BUDGET, PATHS, PipelineConfig
from freqquest.runs import layout
from freqquest.runs.folder import RunFolder
from freqquest.storage import Location, locate, upload_dir

_NOT_COMPARED = {"run_dir", "num_workers", "use_gpu"}
"""Settings that do not shape the results."""


def run_stages(config: PipelineConfig) -> str:
    """Run every stage that the run folder does not hold yet. Needs an initialized Ray.

    Returns:
        The closing summary.

    Raises:
        UserError: A setting, a file or the cluster cannot be used; found before any long work
            wherever possible.
    """
    capacity.worker_resources(config.requirements)
    _check_sources(config)
    folder = RunFolder(config.run, "pipeline", _settings(config))
    folder.begin()
    train_config, test_labels = config.train, None
    if config.audio_dir is None:
        config, test_labels = _with_demo_clips(config, folder.location)

    _make_dataset(config)
    from freqquest.cnn.tune import tune_cnn

    tune_cnn(config.tune)
    if config.test_dir is not None:
        _predict(config, test_labels)
    train_with_judge(train_config)
    _generate_and_classify(config)
    from freqquest.runs.report import summarize, write_report

    write_report(config.run)
    return summarize(config.run)


def train_with_judge(config: TrainConfig) -> dict[str, Any]:
    """Train a generator, with a classifier as its judge if the settings name one.

    This is done here, as neither stage knows the other. Needs an initialized Ray; returns and
    raises as freqquest.cgan.train.train_cgan does.
    """
    from freqquest.cgan.train import train_cgan
    from freqquest.cnn.judge import start_judge

    if config.judge is None:
        return train_cgan(config)
    with release_on_interrupt():  # the judge
        return train_cgan(config, partial(start_judge, locate(config.judge)))


def _settings(config: PipelineConfig) -> dict[str, object]:
    """Return the settings that shape the results, with paths that hold from every folder."""
    settings = {
        name: value
        for name, value in dataclasses.asdict(config).items()
        if name not in _NOT_COMPARED
    }
    return settings | {
        name: str(locate(settings[name])) for name in PATHS if settings[name] is not None
    }


def _check_sources(config: PipelineConfig) -> None:
    """Refuse clips and tables that a later stage would refuse."""
    if config.audio_dir is None:
        return
    from freqquest.cnn.predict import list_requested_clips
    from freqquest.dataset.plan import plan_dataset

    plan_dataset(config.preprocess)
    if config.test_dir is not None:
        list_requested_clips(config.test_dir, config.sample_submission)


def _with_demo_clips(config: PipelineConfig, run: Location) -> tuple[PipelineConfig, Location]:
    """Return the settings with demo clips as input, and the CSV of the test clips' classes."""
    folder = run / layout.DEMO_DIR
    _make_demo_clips(folder, config.seed)
    with_clips = dataclasses.replace(
        config,
        audio_dir=str(folder / "train"),
        test_dir=str(folder / "test"),
        sample_submission=str(folder / "sample_submission.csv"),
        run_dir=config.run,
        **{name: getattr(config.tune, name) for name in CNN_BUDGET},
    )
    return with_clips, folder / "test_labels.csv"


def _make_demo_clips(folder: Location, seed: int) -> None:
    """Write the demo clips, once; into remote storage by way of a local folder."""
    from freqquest.audio.demo_clips import DEMO_NAME, DemoConfig, write_demo_clips

    if folder.is_local:
        write_demo_clips(Path(folder.path), DemoConfig(seed=seed))
    elif not (folder / DEMO_NAME).exists():
        with tempfile.TemporaryDirectory() as local_folder:
            write_demo_clips(Path(local_folder), DemoConfig(seed=seed))
            # The file that says that all are there is uploaded last.
            marker = Path(local_folder) / DEMO_NAME
            content = marker.read_bytes()
            marker.unlink()
            upload_dir(Path(local_folder), folder)
            (folder / DEMO_NAME).write_bytes(content)


def _make_dataset(config: PipelineConfig) -> None:
    from freqquest.dataset.write import write_dataset

    manifest = write_dataset(config.preprocess)
    run = RunFolder(config.run, "dataset", manifest.settings)
    if run.finished() is None:
        names = ("classes", "num_clips", "num_recordings", "num_quarantined", "split_description")
        run.finish({name: getattr(manifest, name) for name in names})


def _predict(config: PipelineConfig, test_labels: Location | None) -> None:
    """Write the submission, and score it if the true classes are known."""
    from freqquest.cnn.predict import predict_submission

    assert config.test_dir is not None
    run = RunFolder(config.run, "submission", {})
    if run.finished() is not None:
        return
    predictions = predict_submission(
        PredictConfig(
            model=config.model,
            audio_dir=config.test_dir,
            output=f"{config.run}/{layout.SUBMISSION_NAME}",
            sample_submission=config.sample_submission,
            overwrite=True,
        )
    )
    metrics: dict[str, float] = {
        "num_clips": len(predictions),
        "num_unreadable": int((predictions["reason"] != "").sum()),
    }
    if test_labels is not None:
        import pandas as pd

        labels = pd.read_csv(io.BytesIO(test_labels.read_bytes()))
        truth = predictions[["ID"]].merge(labels, on="ID")["Class"]
        metrics["accuracy"] = float((predictions["Class"] == truth).mean())
    run.finish(metrics)


def _generate_and_classify(config: PipelineConfig) -> None:
    """Generate clips of each class, and classify them."""
    from freqquest.cgan.generate import generate_clips
    from freqquest.cnn.model_file import read_card
    from freqquest.cnn.predict import predict_clips
    from freqquest.runs.tables import write_csv

    run = RunFolder(config.run, "generated", {"num_clips": config.num_clips, "seed": config.seed})
    if run.finished() is not None:
        return
    clips = generate_clips(config.generate)
    model = locate(config.model)
    predictions = predict_clips(model, read_card(model), [clip.path for clip in clips])
    predictions = predictions.assign(
        label=[clip.label for clip in clips], path=[clip.name for clip in clips]
    )
    columns = ["path", "label", "Class", "probability"]
    write_csv(predictions[columns], run / layout.GENERATED_NAME)
    is_right = predictions["label"] == predictions["Class"]
    accuracy_by_class = is_right.groupby(predictions["label"]).mean()
    run.finish(
        {
            "judge_accuracy": float(is_right.mean()),
            "by_class": {str(label): float(share) for label, share in accuracy_by_class.items()},
            "num_clips": len(predictions),
            "clips": predictions[["path", "label", "Class"]].to_dict("records"),
        }
    )
