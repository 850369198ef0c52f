"""The main job on its demo clips, shrunk, and what it refuses before any work."""

from functools import partial

import pandas as pd
import pytest

from freqquest.audio import demo_clips as demo
from freqquest.errors import UserError
from freqquest.pipeline import run_stages
from freqquest.pipeline_config import PipelineConfig
from freqquest.runs.folder import read_sections
from freqquest.runs.layout import METRICS_NAME
from freqquest.storage import locate


@pytest.fixture
def small_demo(monkeypatch):
    counts = {
        "num_recordings": 3,
        "clips_per_recording": 2,
        "num_test_recordings": 1,
        "clips_per_test_recording": 1,
    }
    monkeypatch.setattr(demo, "DemoConfig", partial(demo.DemoConfig, **counts))


def test_without_a_folder_all_is_done_with_demo_clips_in_one_run_folder_and_nothing_twice(
    job, small_demo, small_networks, tmp_path
):
    run = tmp_path / "demo"
    budget = ["--num-trials", 1, "--max-epochs", 1, "--num-members", 0, "--epochs", 1]
    done = job("pipeline", "--run-dir", run, *budget, "--num-clips", 1)
    for name in (
        "best_model.keras",
        "submission.csv",
        "generator.safetensors",
        "trials.csv",
        "generated.csv",
    ):
        assert (run / name).is_file(), name
    metrics = read_sections(locate(run), METRICS_NAME)
    assert list(metrics) == ["dataset", "cnn", "submission", "cgan", "generated"]
    truth = pd.read_csv(run / "demo" / "test_labels.csv").set_index("ID")["Class"]
    submission = pd.read_csv(run / "submission.csv").set_index("ID")["Class"]
    assert (
        submission.index.tolist()
        == pd.read_csv(run / "demo" / "sample_submission.csv")["ID"].tolist()
    )
    right = float((submission == truth[submission.index]).mean())
    assert metrics["submission"]["accuracy"] == pytest.approx(right)
    assert set(metrics["generated"]["by_class"]) == set(demo.CLASS_NAMES)
    audit = metrics["cnn"]["audit"]
    assert 0 <= audit["recording_split_accuracy"] <= 1
    for part in (
        f"submission's accuracy: {right:.3f} on 5 test clips",
        "(recordings never heard in training)",
        audit["sentence"],
        "(in generated/) are classified as",
        f"--logdir {run}/tensorboard",
    ):
        assert part in done.stdout
    page = (run / "report.html").read_text()
    assert audit["sentence"] in page
    links = ("confusion_matrix.png", "figures/cgan_losses.png", "spectrograms/epoch_001.png")
    for link in (*links, "generated/siren_0_000.wav"):
        assert link in page
        assert (run / link).is_file()
    before = {
        path: path.stat().st_mtime_ns for path in run.glob("*.*") if path.name != "report.html"
    }
    assert job("pipeline", "--run-dir", run, *budget, "--num-clips", 1).stdout == done.stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before
    refused = job("pipeline", "--run-dir", run, *budget, "--num-clips", 2, expect=2)
    assert "holds a pipeline run with other settings: num_clips=2" in refused.stderr


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


def test_the_demo_needs_no_folder_and_a_sample_needs_its_clips():
    with pytest.raises(ValueError, match="need `audio_dir`: the demo brings its own clips"):
        PipelineConfig(test_dir="test")
    with pytest.raises(ValueError, match="`sample_submission` needs `test_dir`"):
        PipelineConfig(audio_dir="train", sample_submission="sample.csv")
    with pytest.raises(ValueError, match="epochs=0 must be 1 or more"):
        PipelineConfig(epochs=0)


def test_the_run_folder_is_named_for_the_clips(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert PipelineConfig().run == "results/demo"
    assert PipelineConfig(audio_dir="sounds/train/").run == "results/train"
    assert PipelineConfig(audio_dir=".").run == f"results/{tmp_path.name}"
