"""What the tune stage refuses and records before it asks Ray for anything."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import soundfile

from freqquest.cnn.classifier import Classifier
from freqquest.cnn.model_file import read_card
from freqquest.cnn.predict import predict_clips
from freqquest.cnn.tune import _settings, tune_cnn
from freqquest.cnn.tune_config import TuneConfig
from freqquest.dataset.manifest import load_manifest
from freqquest.errors import UserError
from freqquest.runs.report import summarize, write_report
from freqquest.storage import locate
from tests.conftest import RATE_HZ
from tests.sizes import SIZES


def test_the_recipe_refuses_other_clips_by_name_before_any_work(dataset_dir, tmp_path):
    size = SIZES["8 kHz, 3 s, 40 mels"]
    other = dataclasses.replace(
        load_manifest(locate(dataset_dir)), clip=size.clip, views=dict(size.views)
    )
    (tmp_path / "dataset").mkdir()
    other.save(locate(tmp_path / "dataset"))
    config = TuneConfig(
        dataset_dir=str(tmp_path / "dataset"), run_dir=str(tmp_path / "run"), preset="reference"
    )
    with pytest.raises(
        UserError,
        match=r"`preset=reference` is made for .* sample_rate_hz 8000 instead of 22050, duration_s "
        r"3.0 instead of 4.0, .*num_mels 40 instead of 128, .*: use `preset=default`",
    ):
        tune_cnn(config)
    assert not (tmp_path / "run").exists()


def test_the_recipe_refuses_several_labels_by_name_before_any_work(dataset_dir, tmp_path):
    several = dataclasses.replace(load_manifest(locate(dataset_dir)), has_several_labels=True)
    (tmp_path / "dataset").mkdir()
    several.save(locate(tmp_path / "dataset"))
    config = TuneConfig(
        dataset_dir=str(tmp_path / "dataset"), run_dir=str(tmp_path / "run"), preset="reference"
    )
    with pytest.raises(
        UserError,
        match=r"`preset=reference` needs one label a clip, and `dataset_dir=.*dataset` has clips "
        "with several labels: use `preset=default`",
    ):
        tune_cnn(config)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("classifier", ["embedding", "fusion"])
def test_a_classifier_of_vectors_is_refused_without_them_before_any_work(
    dataset_dir, tmp_path, classifier
):
    config = TuneConfig(
        dataset_dir=str(dataset_dir), run_dir=str(tmp_path / "run"), classifier=classifier
    )
    with pytest.raises(
        UserError,
        match=f"`classifier={classifier}` needs a dataset with an embedding, and `dataset_dir=.*` "
        "has none: make one with `embedding` of the preprocess job, or leave it out",
    ):
        tune_cnn(config)
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def head_run(embedded_dataset_dir, tmp_path_factory):
    """A run without a CNN, in which the leakage audit has been made, and its metrics."""
    run = tmp_path_factory.mktemp("head") / "run"
    config = TuneConfig(
        dataset_dir=str(embedded_dataset_dir),
        run_dir=str(run),
        classifier="embedding",
        audit_leakage=True,
    )
    return run, tune_cnn(config)


def test_a_head_alone_is_fitted_evaluated_and_audited_without_trials(head_run):
    run, metrics = head_run
    assert metrics["classifiers"]["kept"] == "embedding"
    assert metrics["classifiers"]["scores"] == {"embedding": metrics["accuracy"]}
    assert (metrics["num_trials"], metrics["num_members"]) == (0, 0)
    assert metrics["trained_on"] == "all labeled clips"
    assert "random_split_accuracy" in metrics["audit"]
    assert not (run / "trials").exists()
    write_report(str(run))
    assert "A head on the dataset's embedding" in (run / "report.html").read_text()
    assert "kept: head on the embedding, as set" in summarize(str(run))


def test_a_model_of_vectors_predicts_the_same_from_files_waveforms_and_as_a_job(
    head_run, audio_dir
):
    file = locate(head_run[0] / "best_model.keras")
    card = read_card(file)
    assert card.embedding.num_values == 3
    assert len(card.detection_thresholds) == 2
    paths = [str(path) for path in sorted(audio_dir.glob("*/*.wav"))][::5]
    classifier = Classifier.load(file.path)
    of_files = classifier.predict(paths)[card.probability_columns].to_numpy()
    waveforms = [soundfile.read(path, dtype="float32")[0] for path in paths]
    of_waveforms = classifier.predict(waveforms, sample_rate_hz=RATE_HZ)
    np.testing.assert_allclose(of_waveforms[card.probability_columns], of_files, atol=1e-4)
    job = predict_clips(file, card, paths)
    np.testing.assert_allclose(job[card.probability_columns], of_files, atol=1e-4)
    assert of_files.std(axis=0).min() > 0


def test_a_run_folder_goes_on_with_or_without_a_tracker(dataset_dir):
    manifest = load_manifest(locate(dataset_dir))
    plain, tracked = (
        TuneConfig(dataset_dir=str(dataset_dir), run_dir="unused", track=track)
        for track in (None, "mlflow")
    )
    none = pd.DataFrame()
    assert _settings(tracked, manifest, none) == _settings(plain, manifest, none)


def test_run_folders_from_when_shifts_were_counted_in_bands_stay_valid(dataset_dir):
    config = TuneConfig(dataset_dir=str(dataset_dir), run_dir="unused")
    manifest = load_manifest(locate(dataset_dir))
    assert _settings(config, manifest, pd.DataFrame())["preset.band_shift"] == 3
