import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from freqquest.benchmark import few_clips, folds
from freqquest.benchmark.cnn import benchmark_cnn
from freqquest.benchmark.cnn_config import CnnBenchmark
from freqquest.benchmark.few_clips import draw_clips
from freqquest.benchmark.few_clips_config import FewClipsBenchmark
from tests.cnn.conftest import make_clips
from tests.embedding.tiny_networks import DESCRIPTION


def clips_of(recordings, folds):
    """Return clips of two classes in turn, with these recordings and folds."""
    count = len(recordings)
    clips = make_clips(count)
    return replace(
        clips,
        labels=np.eye(2, dtype=bool)[np.arange(count) % 2],
        classes=("a", "b"),
        recordings=pd.Categorical(recordings),
        groups=pd.Categorical(folds),
        is_training_only=np.zeros(count, bool),
        clip_ids=pd.Categorical(np.arange(count).astype(str)),
    )


def test_a_draw_takes_many_recordings_of_the_other_folds_and_grows_with_its_size():
    # Of each class, five clips of a long recording, three single ones, and two of fold 2.
    of_class = ["long"] * 5 + ["x", "y", "z"] + ["test"] * 2
    recordings = [f"{name}{label}" for name in of_class for label in "ab"]
    clips = clips_of(recordings, ["1"] * 16 + ["2"] * 4)
    four = draw_clips(clips, "2", 4, seed=0)
    assert four.validation.tolist() == [16, 17, 18, 19]
    assert set(clips.recordings[four.train]) == set(clips.recordings[:16])
    assert clips.labels[four.train].sum(axis=0).tolist() == [4, 4]
    six = draw_clips(clips, "2", 6, seed=0)
    assert set(four.train) < set(six.train)
    assert clips.labels[six.train].sum(axis=0).tolist() == [6, 6]
    assert len(draw_clips(clips, "2", 100, seed=0).train) == 16
    assert len({tuple(draw_clips(clips, "2", 6, seed=seed).train) for seed in range(4)}) > 1


@pytest.fixture
def with_vectors(monkeypatch):
    """A dataset of two folds with vectors, whatever its folder."""
    clips = replace(make_clips(folds=2), vectors=np.random.default_rng(0).normal(size=(32, 4)))
    manifest = SimpleNamespace(embedding=DESCRIPTION, require_one_label=lambda *_: None)
    monkeypatch.setattr(folds, "load_manifest", lambda _: manifest)
    monkeypatch.setattr(folds, "load_labeled", lambda *_: clips)


@pytest.mark.slow
def test_all_kinds_of_classifiers_are_compared(local_ray, with_vectors, tmp_path):
    output = tmp_path / "few.json"
    table = few_clips.benchmark_few_clips(
        FewClipsBenchmark(
            dataset_dir="none", sizes=(6,), num_draws=1, max_epochs=1, output=str(output)
        )
    )
    assert table + "\n" == (tmp_path / "few.md").read_text()
    assert "embedding by ears.onnx" in table
    assert (tmp_path / "few.png").stat().st_size > 0
    (run,) = json.loads(output.read_text())["runs"]
    assert (run["size"], run["fold"], run["num_recordings"]) == (6, "1", 4)
    assert list(run["accuracy"]) == ["reference", "default", "embedding", "default with embedding"]
    assert all(0 <= accuracy <= 1 for accuracy in run["accuracy"].values())


@pytest.mark.slow
def test_whole_folds_have_the_same_kinds(local_ray, with_vectors, tmp_path):
    output = tmp_path / "cnn.json"
    config = CnnBenchmark(
        dataset_dir="none", presets=("default",), num_seeds=2, max_epochs=1, output=str(output)
    )
    table = benchmark_cnn(config)
    assert "| what | default | embedding | default with embedding |" in table
    content = json.loads(output.read_text())
    assert [run["kind"] for run in content["runs"]] == (
        4 * ["default"] + 2 * ["embedding"] + 4 * ["default with embedding"]
    )
    assert content["summary"]["time_to_reference"] is None
    assert (tmp_path / "cnn_confusion_default_with_embedding.png").stat().st_size > 0
