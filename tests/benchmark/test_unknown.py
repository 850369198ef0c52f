import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from freqquest.benchmark.unknown import (
    LeftOutRun,
    benchmark_unknown,
    score_measure,
    summarize,
    without_class,
)
from freqquest.benchmark.unknown_config import UnknownBenchmark
from freqquest.cnn.config import PRESETS
from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.write import write_dataset
from freqquest.errors import UserError
from tests.cnn.conftest import make_clips
from tests.conftest import RATE_HZ, tone


@pytest.fixture(scope="module")
def three_classes(tmp_path_factory, local_ray):
    """A dataset of three classes, four clips each."""
    folder = tmp_path_factory.mktemp("three")
    for label, pitch_hz in {"low": 200.0, "middle": 800.0, "high": 3000.0}.items():
        (folder / "audio" / label).mkdir(parents=True)
        for number in range(4):
            name = folder / "audio" / label / f"{number}.wav"
            soundfile.write(name, tone(pitch_hz, 1.0, seed=number), RATE_HZ)
    config = PreprocessConfig(
        audio_dir=str(folder / "audio"),
        dataset_dir=str(folder / "dataset"),
        duration=1.0,
        validation_fraction=0.5,
    )
    write_dataset(config)
    return config.dataset_dir


@pytest.mark.slow
def test_each_class_is_left_out_once_and_told_from_the_others(three_classes, tmp_path, monkeypatch):
    tiny = replace(PRESETS["default"], num_blocks=1, num_filters=2, input_pooling=4, min_steps=1)
    monkeypatch.setitem(PRESETS, "default", tiny)
    output = tmp_path / "unknown.json"
    table = benchmark_unknown(
        UnknownBenchmark(dataset_dir=three_classes, num_classes=2, max_epochs=1, output=str(output))
    )
    assert table + "\n" == (tmp_path / "unknown.md").read_text()
    report = json.loads(output.read_text())
    assert [run["left_out"] for run in report["runs"]] == ["high", "middle"]
    for run in report["runs"]:
        assert (run["num_known"], run["num_unknown"]) == (4, 4)
        assert 0 <= run["accuracy"] <= 1
    names = ["maximum probability", "energy", "Mahalanobis distance", "nearest neighbor"]
    assert list(report["summary"]) == names
    for name in names:
        aurocs = [run["measures"][name]["auroc"] for run in report["runs"]]
        assert report["summary"][name]["auroc"] == pytest.approx(np.mean(aurocs))


def test_two_classes_are_too_few(dataset_dir, tmp_path):
    config = UnknownBenchmark(dataset_dir=str(dataset_dir), output=str(tmp_path / "x.json"))
    with pytest.raises(UserError, match="has 2 classes, but must have 3 or more"):
        benchmark_unknown(config)


def test_a_class_that_is_left_out_moves_the_others_together():
    clips = make_clips()
    labels = np.eye(3, dtype=bool)[np.arange(len(clips.labels)) % 3]
    clips = replace(clips, labels=labels, classes=("a", "b", "c"))
    known = without_class(clips, 1)
    assert known.classes == ("a", "c")
    assert known.labels[:3].tolist() == [[True, False], [False, False], [False, True]]
    assert known.class_indices[[0, 2]].tolist() == [0, 1]


def test_a_measure_is_scored_by_how_it_ranks_unknown_clips_and_mistakes():
    known, is_right = np.array([0.9, 0.8, 0.7, 0.2]), np.array([True, True, False, False])
    scores = score_measure(known, np.array([0.1, 0.3]), is_right)
    assert scores["auroc"] == pytest.approx(7 / 8)
    assert scores["accuracy_at_coverage"] == {"50%": 1.0, "80%": pytest.approx(2 / 3)}


def test_leads_are_over_the_simplest_measure_with_an_error_over_the_classes():
    def run(aurocs):
        names = ["maximum probability", "energy", "Mahalanobis distance", "nearest neighbor"]
        scores = {"accuracy_at_coverage": {"50%": 1.0}}
        measures = {
            name: scores | {"auroc": auroc} for name, auroc in zip(names, aurocs, strict=True)
        }
        return LeftOutRun(left_out="a", num_known=1, num_unknown=1, accuracy=1.0, measures=measures)

    summary = summarize([run([0.7, 0.8, 0.6, 0.7]), run([0.6, 0.9, 0.6, 0.5])])
    assert summary["energy"]["auroc"] == pytest.approx(0.85)
    assert summary["energy"]["lead"] == pytest.approx(0.2)
    assert summary["energy"]["standard_error_of_lead"] == pytest.approx(0.1)
    assert summarize([run([0.7, 0.8, 0.6, 0.7])])["energy"]["standard_error_of_lead"] is None
