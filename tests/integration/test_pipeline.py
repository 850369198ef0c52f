"""The main job on a few demo clips, what its stages leave, and what predict and generate do."""

import base64
import re
import shutil
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest

from freqquest.audio import demo_clips as demo
from freqquest.cgan.generate_worker import synthesize
from freqquest.cnn.model_file import read_card
from freqquest.cnn.predict import list_requested_clips
from freqquest.dataset.sources import digest
from freqquest.errors import UserError
from freqquest.pipeline import _predict, run_stages
from freqquest.pipeline_config import PipelineConfig
from freqquest.runs.folder import RunFolder, read_sections
from freqquest.runs.layout import CONFIG_NAME, METRICS_NAME
from freqquest.storage import locate
from tests.conftest import read_mlflow
from tests.integration.conftest import events_of, smaller_networks

CLASSES = sorted(demo.CLASS_NAMES)


@contextmanager
def few_demo_clips():
    counts = {
        "num_recordings": 3,
        "clips_per_recording": 2,
        "num_test_recordings": 1,
        "clips_per_test_recording": 1,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "DemoConfig", partial(demo.DemoConfig, **counts))
        yield


@pytest.fixture(scope="module")
def run_demo(job, mlflow_uri, tmp_path_factory):
    """A function that runs the whole pipeline on a few demo clips, always into the same folder."""
    folder = tmp_path_factory.mktemp("pipeline") / "demo"
    budget = ["--num-trials", 2, "--max-epochs", 2, "--num-members", 1, "--epochs", 2]

    def run(num_clips=1, **expected):
        settings = [*budget, "--num-workers", 1, "--num-clips", num_clips, "--track", "mlflow"]
        with few_demo_clips(), smaller_networks(), pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", mlflow_uri)
            done = job("pipeline", "--run-dir", folder, *settings, **expected)
        return SimpleNamespace(folder=folder, stdout=done.stdout, stderr=done.stderr)

    return run


@pytest.fixture(scope="module")
def pipeline(run_demo):
    """The pipeline's run folder, its metrics, and what it printed; not to be changed."""
    done = run_demo()
    done.metrics = read_sections(locate(done.folder), METRICS_NAME)
    return done


def test_without_a_folder_every_stage_runs_on_demo_clips_in_one_run_folder(pipeline):
    run, metrics = pipeline.folder, pipeline.metrics
    for name in (
        "best_model.keras",
        "submission.csv",
        "generator.safetensors",
        "trials.csv",
        "generated.csv",
    ):
        assert (run / name).is_file(), name
    assert list(metrics) == ["dataset", "cnn", "submission", "cgan", "generated"]
    truth = pd.read_csv(run / "demo" / "test_labels.csv").set_index("ID")["Class"]
    submission = pd.read_csv(run / "submission.csv").set_index("ID")["Class"]
    sample = pd.read_csv(run / "demo" / "sample_submission.csv")
    assert submission.index.tolist() == sample["ID"].tolist()
    right = float((submission == truth[submission.index]).mean())
    assert metrics["submission"]["accuracy"] == pytest.approx(right)
    assert sorted(metrics["generated"]["by_class"]) == CLASSES
    audit = metrics["cnn"]["audit"]
    assert 0 <= audit["recording_split_accuracy"] <= 1
    for part in (
        f"submission's accuracy: {right:.3f} on 5 test clips",
        "(recordings unseen in training",
        audit["sentence"],
        "(in generated/) are classified as",
        f"--logdir {run}/tensorboard",
    ):
        assert part in pipeline.stdout
    assert "vectors of a pretrained network help most (--embedding)" in pipeline.stderr


def test_each_trial_and_epoch_is_in_the_tracker_with_the_values_of_the_run_folder(
    pipeline, mlflow_uri
):
    runs = {run.info.run_name: run for run in read_mlflow(mlflow_uri, "demo")}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    generator = runs.pop("generator")
    epochs = pd.read_csv(pipeline.folder / "cgan_epochs.csv")
    for name, column in {
        "loss/loss_G": "loss_G",
        "loss/loss_D": "loss_D",
        "judge/accuracy": "judge/accuracy",
    }.items():
        values = epochs[["epoch", column]].dropna()
        assert generator.curves[name] == list(values.itertuples(index=False, name=None))
    assert generator.data.params["epochs"] == "2"

    trials = pd.read_csv(pipeline.folder / "trials.csv").set_index("trial")
    assert len(trials) == len(runs) == 2
    for run in runs.values():
        trial = trials.loc[run.info.run_name.removeprefix("run_trial_")]
        assert len(run.curves["train/loss"]) == trial["epochs"]
        for name in ("train/loss", "validation/loss", "validation/accuracy", "validation/score"):
            assert run.curves[name][-1] == (trial["epochs"], pytest.approx(trial[name], rel=1e-9))
        assert run.data.params["learning_rate"] == str(trial["learning_rate"])


def test_the_report_shows_every_stage_and_its_links_work(pipeline):
    page = (pipeline.folder / "report.html").read_text()
    assert pipeline.metrics["cnn"]["audit"]["sentence"] in page
    assert f"{pipeline.metrics['cgan']['judge']['overall']['accuracy']:.3f}" in page
    for name in (
        "figures/learning_curves.png",
        "figures/search_progress.png",
        "figures/reliability.png",
        "figures/coverage.png",
        "figures/cgan_losses.png",
        "spectrograms/epoch_002.png",
    ):
        picture = (pipeline.folder / name).read_bytes()
        assert base64.b64encode(picture).decode() in page, name
    for link in re.findall(r'href="([^"#]+)"', page):
        assert (pipeline.folder / link).is_file(), link
    assert not re.search(r'src="(?!data:)', page)


def test_the_report_has_the_validation_clips_and_generated_ones_beside_real_ones(pipeline):
    page = (pipeline.folder / "report.html").read_text()
    predictions = pd.read_csv(pipeline.folder / "validation_predictions.csv")
    assert len(predictions) == pipeline.metrics["cnn"]["num_clips"]
    is_right = predictions["label"] == predictions["Class"]
    assert is_right.mean() == pytest.approx(pipeline.metrics["cnn"]["accuracy"])
    for number in range(len(predictions)):
        assert f'id="clip-{number}"' in page
    assert page.count("nearest real clip") == 3 * len(CLASSES)


def test_a_second_run_changes_nothing_and_other_settings_are_refused(pipeline, run_demo):
    def times():
        files = (path for path in pipeline.folder.glob("*.*") if path.name != "report.html")
        return {path: path.stat().st_mtime_ns for path in files}

    before = times()
    assert run_demo().stdout == pipeline.stdout
    assert times() == before
    refused = run_demo(num_clips=2, expect=2)
    assert "holds a pipeline run with other settings: num_clips=2" in refused.stderr


def test_the_model_carries_what_prediction_needs(pipeline):
    card = read_card(locate(pipeline.folder / "best_model.keras"))
    assert card.classes == CLASSES
    assert (card.num_members, card.trained_on) == (1, "all labeled clips")
    assert card.cnn_config["num_filters"] == 4
    assert card.temperature == pipeline.metrics["cnn"]["temperature"]
    model = keras.models.load_model(pipeline.folder / "best_model.keras", safe_mode=True)
    assert model.output_shape == (None, len(CLASSES))


def test_every_trial_is_listed_and_logs_its_curves_pictures_and_sounds(pipeline):
    trials = pd.read_csv(pipeline.folder / "trials.csv")
    assert trials["network"].tolist() == ["residual", "plain"]  # the preset, then the recipe
    assert set(trials["state"]) <= {"finished", "stopped early"}
    sounds = set()
    for trial in trials["trial"]:
        events = events_of(pipeline.folder / "tensorboard" / "cnn" / trial)
        tags = set(events.Tags()["tensors"])
        assert {
            "train/loss",
            "validation/accuracy",
            "config",
            "validation/confusion_matrix",
            "mistakes/captions",
        } <= tags
        assert "_hparams_/session_start_info" in events.summary_metadata
        sounds |= {tag for tag in tags if tag.startswith("mistakes/")} - {"mistakes/captions"}
    assert sounds  # two epochs leave mistakes


def test_the_training_leaves_a_judged_generator_with_sounds_and_pictures(pipeline):
    run, metrics = pipeline.folder, pipeline.metrics["cgan"]
    samples = {path.name for path in (run / "samples").iterdir()}
    assert samples == {f"{label}_ep{epoch}.wav" for label in CLASSES for epoch in (1, 2)}
    pictures = {path.name for path in (run / "spectrograms").iterdir()}
    assert pictures == {"epoch_001.png", "epoch_002.png"}
    epochs = pd.read_csv(run / "cgan_epochs.csv").set_index("epoch")
    assert epochs.index.tolist() == [1, 2]
    assert np.isfinite(epochs[["loss_D", "loss_G", "clips_per_s"]]).all(axis=None)
    assert np.isfinite(epochs.loc[2, ["judge/accuracy", "judge/kernel"]]).all()
    assert metrics["generator_epoch"] == 2  # the only one that was judged
    assert (
        sorted(metrics["judge"]["by_class"]) == sorted(metrics["baseline"]["by_class"]) == CLASSES
    )
    assert metrics["judge"]["num_clips"] == 4 * len(CLASSES)
    assert "not comparable with published FAD" in (run / "judge.txt").read_text()


def test_tensorboard_has_scalars_pictures_sounds_and_settings_of_the_training(pipeline):
    events = events_of(pipeline.folder / "tensorboard" / "cgan")
    scalars = {
        "loss/loss_D",
        "loss/loss_G",
        "discriminator/accuracy_real",
        "gradient_norm/D",
        "speed/clips_per_s",
        "memory/process_mib",
        "judge/accuracy",
        "judge/kernel",
        "judge_accuracy/siren",
    }
    assert scalars <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Images("generated/spectrograms")] == [1, 2]
    assert {f"generated/{label}" for label in CLASSES} <= set(events.Tags()["audio"])
    assert "config/text_summary" in events.Tags()["tensors"]
    assert "_hparams_/session_start_info" in events.summary_metadata


def test_predict_writes_the_samples_rows_in_its_order(job, pipeline, unlabeled_dir, tmp_path):
    clips, sample, output = (tmp_path / name for name in ("clips", "sample.csv", "submission.csv"))
    shutil.copytree(unlabeled_dir, clips)
    shutil.copy(clips / "a.wav", clips / "=1.wav")
    names = ["c.wav", "broken.wav", "a.wav", "b.WAV", "=1.wav", "c.wav"]
    sample.write_text("\n".join(["ID,Class", *(f"{name},siren" for name in names)]) + "\n")
    model = pipeline.folder / "best_model.keras"
    arguments = ["--model", model, "--audio-dir", clips, "--output", output]
    done = job("predict", *arguments, "--sample-submission", sample)
    submission = pd.read_csv(output)
    assert submission.columns.tolist() == ["ID", "Class"]
    assert submission["ID"].tolist() == names  # as the sample has them
    assert set(submission["Class"]) <= set(CLASSES)
    assert "1 clip(s) could not be read" in done.stdout
    assert pd.read_csv(f"{output}.unreadable.csv")["ID"].tolist() == ["broken.wav"]
    refused = job("predict", *arguments, expect=2)
    assert "exists: choose another path, or pass --overwrite" in refused.stderr


def test_generate_makes_clips_and_lists_the_labels_it_knows(job, pipeline, tmp_path, monkeypatch):
    # The pipeline's own clips were made by a task.
    monkeypatch.setattr("freqquest.cgan.generate.generate_clips", synthesize)
    generator = pipeline.folder / "generator.safetensors"
    arguments = ["--generator", generator, "--output-dir", tmp_path, "--num-clips", 2]
    job("generate", *arguments, "--label", "siren")
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == ["siren_0_000.wav", "siren_0_001.wav"]
    refused = job("generate", *arguments, "--label", "cat", expect=2)
    assert f"--label cat must be one of: {', '.join([*CLASSES, 'all'])}" in refused.stderr


def test_a_bad_sample_submission_is_refused_before_any_work(
    local_ray, audio_dir, unlabeled_dir, tmp_path
):
    (tmp_path / "sample.csv").write_text("ID\nmissing.wav\n")
    with pytest.raises(UserError, match="line 2: ID 'missing.wav' has no file"):
        run_stages(
            PipelineConfig(
                audio_dir=str(audio_dir),
                test_dir=str(unlabeled_dir),
                sample_submission=str(tmp_path / "sample.csv"),
                run_dir=str(tmp_path / "run"),
            )
        )
    assert not (tmp_path / "run").exists()


def test_the_recipe_refuses_several_labels_before_any_work(local_ray, audio_dir, tmp_path):
    first, *others = sorted(str(path.relative_to(audio_dir)) for path in audio_dir.rglob("*.wav"))
    rows = [f"{first},low;high", *(f"{path},{path.partition('/')[0]}" for path in others)]
    (tmp_path / "clips.csv").write_text("\n".join(["path,label", *rows]))
    sources = {"audio_dir": str(audio_dir), "metadata": str(tmp_path / "clips.csv")}
    run = tmp_path / "run"
    with pytest.raises(UserError, match="`preset=reference` needs one label a clip"):
        run_stages(PipelineConfig(**sources, run_dir=str(run), preset="reference"))
    assert not run.exists()


def test_a_sample_submission_without_a_column_for_each_class_is_refused_before_any_work(
    local_ray, audio_dir, unlabeled_dir, tmp_path
):
    (tmp_path / "sample.csv").write_text("ID,low\n0.wav,0\n")
    config = PipelineConfig(
        audio_dir=str(audio_dir),
        test_dir=str(unlabeled_dir),
        sample_submission=str(tmp_path / "sample.csv"),
        run_dir=str(tmp_path / "run"),
    )
    with pytest.raises(UserError, match="lacks the classes high"):
        run_stages(config)
    assert not (tmp_path / "run").exists()


def test_a_batch_larger_than_the_dataset_is_refused_before_the_search(
    local_ray, audio_dir, tmp_path
):
    run = tmp_path / "run"
    config = PipelineConfig(audio_dir=str(audio_dir), run_dir=str(run), batch_size=1000)
    with pytest.raises(UserError, match="`batch_size=1000` must be at most"):
        run_stages(config)
    assert (run / "dataset" / "manifest.json").exists()
    assert "cnn" not in read_sections(locate(run), CONFIG_NAME)


def test_a_submission_of_other_test_clips_is_refused(tmp_path):
    clips = tmp_path / "test"
    clips.mkdir()
    (clips / "a.wav").write_bytes(b"1")
    config = PipelineConfig(audio_dir="none", test_dir=str(clips), run_dir=str(tmp_path / "run"))
    predict_config = config.predict_config
    requested = list_requested_clips(predict_config.audio_dir, None)
    settings = {"test_clips_sha256": digest(requested)}
    RunFolder(config.effective_run_dir, "submission", settings).finish({"num_clips": 1})
    _predict(config, predict_config, requested)  # already finished
    (clips / "b.wav").write_bytes(b"2")
    with pytest.raises(UserError, match="a submission run with other settings: test_clips_sha256="):
        _predict(config, predict_config, None)


def test_settings_that_need_a_folder_of_clips_are_refused_without_it():
    with pytest.raises(
        ValueError, match="`test_dir` needs `audio_dir`: the demo brings its own clips"
    ):
        PipelineConfig(test_dir="test")
    with pytest.raises(ValueError, match="`sample_submission` needs `test_dir`"):
        PipelineConfig(audio_dir="train", sample_submission="sample.csv")
    with pytest.raises(ValueError, match="`epochs=0` must be 1 or more"):
        PipelineConfig(epochs=0)
    with pytest.raises(ValueError, match="`preset=large` must be one of: default, reference"):
        PipelineConfig(preset="large")


def test_the_run_folder_is_named_for_the_clips(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert PipelineConfig().effective_run_dir == "results/demo"
    assert PipelineConfig(audio_dir="sounds/train/").effective_run_dir == "results/train"
    assert PipelineConfig(audio_dir=".").effective_run_dir == f"results/{tmp_path.name}"


def test_the_demo_may_have_a_pretrained_network():
    config = PipelineConfig(embedding="a.onnx", embedding_rate=16_000)
    assert config.is_demo
    assert config.requirements.reads["embedding"] == "a.onnx"
    dataset = config.preprocess_config
    assert (dataset.embedding, dataset.embedding_rate) == ("a.onnx", 16_000)
    assert dataset.requirements.reads["embedding"] == "a.onnx"
