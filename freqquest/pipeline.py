"""All stages, one after the other, in one run folder.

Each stage is imported when it begins. Stages know nothing of each other: each reads what earlier
ones left in the run folder.
"""

import dataclasses
import io
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from freqquest.cgan.config import TrainConfig
from freqquest.cgan.generate_config import GenerateConfig
from freqquest.cgan.train_job import Generation
from freqquest.cluster import capacity, preflight
from freqquest.cluster.tasks import release_on_interrupt
from freqquest.cnn.predict_config import PredictConfig
from freqquest.dataset.config import DatasetSettings
from freqquest.dataset.manifest import Manifest
from freqquest.errors import UserError
from freqquest.pipeline_config import PATHS, PipelineConfig
from freqquest.runs import layout
from freqquest.runs.folder import RunFolder
from freqquest.runs.metrics import GeneratorMetrics
from freqquest.runs.tracker import require_tracker
from freqquest.storage import Location, locate, upload_dir

if TYPE_CHECKING:
    import pandas as pd

    from freqquest.cgan.train import TrainRequest
    from freqquest.dataset.plan import DatasetPlan

_NOT_COMPARED = {"run_dir", "num_workers", "use_gpu", "track"}
"""Settings that do not shape the results."""


class Sources(NamedTuple):
    """What the user's clips and tables make, found before any work; nothing for demo clips."""

    plan: "DatasetPlan | None" = None
    requested: "pd.DataFrame | None" = None
    """Clips to classify."""


def run_stages(config: PipelineConfig, sources: Sources | None = None) -> str:
    """Run every stage that the run folder does not hold yet. Needs an initialized Ray.

    Args:
        config: Settings of all stages.
        sources: What `check_sources` returned, if they were checked already.

    Returns:
        The closing summary.

    Raises:
        UserError: A setting, a file or the cluster cannot be used; found before any long work
            wherever possible.
    """
    sources = sources or check_sources(config)
    capacity.worker_resources(config.requirements)
    folder = RunFolder(config.effective_run_dir, "pipeline", _settings(config))
    folder.begin()
    if config.is_demo:
        _make_demo_clips(folder / layout.DEMO_DIR, config.seed)
    manifest = _make_dataset(config, sources.plan)
    from freqquest.cgan.train import require_full_batch
    from freqquest.cnn.tune import tune_cnn
    from freqquest.dataset.read import without_background

    dataset = locate(config.train_config.dataset_dir)
    require_full_batch(config.train_config, without_background(dataset, manifest))
    tune_cnn(config.tune_config)
    if config.predict_config is not None:
        _predict(config, config.predict_config, sources.requested)
    train_with_judge(config.train_config)
    _generate_and_classify(config)
    from freqquest.runs.report import summarize, write_report

    write_report(config.effective_run_dir)
    return summarize(config.effective_run_dir)


def train_with_judge(
    config: TrainConfig, request: "TrainRequest | None" = None
) -> GeneratorMetrics:
    """Train a generator, with a classifier as its judge if the settings name one.

    This is done here, as neither stage knows the other. Needs an initialized Ray; returns and
    raises as freqquest.cgan.train.train_cgan does.
    """
    from freqquest.cgan.train import train_cgan
    from freqquest.cnn.judge import start_judge

    if config.judge is None:
        return train_cgan(config, request=request)
    with release_on_interrupt():  # the judge
        dataset = locate(config.dataset_dir)
        return train_cgan(config, partial(start_judge, locate(config.judge), dataset), request)


def generate_with_judge(config: GenerateConfig) -> Generation:
    """Generate clips, chosen by a classifier if the settings name one.

    This is done here, as neither stage knows the other. Needs an initialized Ray; returns and
    raises as freqquest.cgan.generate.generate_clips does.
    """
    from freqquest.cgan.generate import generate_clips
    from freqquest.cnn.judge import start_judge_of_sounds

    if config.judge is None:
        return generate_clips(config)
    return generate_clips(config, partial(start_judge_of_sounds, locate(config.judge)))


def _settings(config: PipelineConfig) -> dict[str, object]:
    """Return the settings that shape the results, with absolute paths."""
    # Settings of the dataset count if they are not the defaults: older run folders lack them.
    defaults = dataclasses.asdict(DatasetSettings())
    defaults.pop("seed")
    settings = {
        name: value
        for name, value in dataclasses.asdict(config).items()
        if name not in _NOT_COMPARED and (name not in defaults or value != defaults[name])
    }
    return settings | {
        name: str(locate(settings[name])) for name in PATHS if settings.get(name) is not None
    }


def check_sources(config: PipelineConfig) -> Sources:
    """Refuse clips, tables and run folders that a later stage would refuse. Needs no Ray.

    Raises:
        UserError: One of them is not usable.
    """
    require_tracker(config.track)
    RunFolder(config.effective_run_dir, "pipeline", _settings(config))
    if config.is_demo:
        return Sources()
    from freqquest.cnn.predict import class_columns, list_requested_clips
    from freqquest.dataset.labels import have_several
    from freqquest.dataset.plan import plan_dataset

    plan = plan_dataset(config.preprocess_config)
    if config.preset == "reference" and have_several(plan.clips["label"]).any():
        raise UserError(
            "`preset=reference` needs one label a clip, and there are clips with several labels: "
            "use `preset=default`"
        )
    if config.test_dir is None:
        return Sources(plan)
    class_columns(config.sample_submission, plan.classes, plan.background_label)
    requested = list_requested_clips(config.test_dir, config.sample_submission, "test_dir")
    return Sources(plan, requested)


def _make_demo_clips(folder: Location, seed: int) -> None:
    """Write the demo clips, once; into remote storage by way of a local folder."""
    from freqquest.audio.demo_clips import DemoConfig, write_demo_clips
    from freqquest.audio.demo_folder import DEMO_NAME

    if folder.is_local:
        write_demo_clips(Path(folder.path), DemoConfig(seed=seed))
    elif not (folder / DEMO_NAME).exists():
        with tempfile.TemporaryDirectory() as local_folder:
            write_demo_clips(Path(local_folder), DemoConfig(seed=seed))
            # The file that marks the folder as complete is uploaded last.
            marker = Path(local_folder) / DEMO_NAME
            content = marker.read_bytes()
            marker.unlink()
            upload_dir(Path(local_folder), folder)
            (folder / DEMO_NAME).write_bytes(content)


def _make_dataset(config: PipelineConfig, plan: "DatasetPlan | None") -> Manifest:
    from freqquest.dataset.summary import summarize
    from freqquest.dataset.write import write_dataset

    manifest = write_dataset(config.preprocess_config, plan, is_checked=True)
    run = RunFolder(config.effective_run_dir, "dataset", manifest.settings)
    if run.finished() is None:
        summary = summarize(manifest, config.preprocess_config.dataset_dir)
        print(preflight.render(summary), file=sys.stderr)
        names = (
            "classes",
            "background_label",
            "num_clips",
            "num_recordings",
            "num_quarantined",
            "split_description",
            "notes",
        )
        run.finish({name: getattr(manifest, name) for name in names})
    return manifest


def _predict(
    config: PipelineConfig, predict_config: PredictConfig, requested: "pd.DataFrame | None"
) -> None:
    """Write the submission, and score it if the true classes are known."""
    from freqquest.cnn.predict import list_requested_clips, predict_submission
    from freqquest.dataset.sources import digest

    if requested is None:
        requested = list_requested_clips(predict_config.audio_dir, predict_config.sample_submission)
    # A submission of other clips is refused.
    settings = {"test_clips_sha256": digest(requested)}
    run = RunFolder(config.effective_run_dir, "submission", settings)
    if run.finished() is not None:
        return
    predictions = predict_submission(predict_config, requested)
    metrics: dict[str, float] = {
        "num_clips": len(predictions),
        "num_unreadable": int((predictions["reason"] != "").sum()),
    }
    if config.test_labels is not None:
        import pandas as pd

        labels = pd.read_csv(io.BytesIO(locate(config.test_labels).read_bytes()))
        truth = predictions[["ID"]].merge(labels, on="ID")["Class"]
        metrics["accuracy"] = float((predictions["Class"] == truth).mean())
    run.finish(metrics)


def _generate_and_classify(config: PipelineConfig) -> None:
    """Generate clips of each class, and classify them."""
    import numpy as np
    import pandas as pd

    from freqquest.cgan.generate import generate_clips
    from freqquest.cgan.judged_clips import are_recognized
    from freqquest.cnn.judge import thresholds_of
    from freqquest.cnn.model_file import read_card
    from freqquest.cnn.predict import predict_clips
    from freqquest.runs.tables import write_csv

    settings = {"num_clips": config.num_clips, "seed": config.seed}
    run = RunFolder(config.effective_run_dir, "generated", settings)
    if run.finished() is not None:
        return
    clips = generate_clips(config.generate_config).clips
    model = locate(config.model_path)
    card = read_card(model)
    predictions = predict_clips(model, card, [clip.path for clip in clips])
    predictions = predictions.assign(
        label=[clip.label for clip in clips], path=[clip.name for clip in clips]
    )
    columns = ["path", "label", "Class", "probability"]
    write_csv(predictions[columns], run / layout.GENERATED_NAME)
    is_right = are_recognized(
        predictions[[f"probability_{label}" for label in card.sound_classes]].to_numpy(),
        np.array([card.sound_classes.index(clip.label) for clip in clips]),
        thresholds_of(card, card.sound_classes),
    )
    accuracy_by_class = pd.Series(is_right).groupby(predictions["label"]).mean()
    run.finish(
        {
            "judge_accuracy": float(is_right.mean()),
            "by_class": {str(label): float(share) for label, share in accuracy_by_class.items()},
            "num_clips": len(predictions),
            "clips": predictions[["path", "label", "Class"]].to_dict("records"),
        }
    )
