from dataclasses import replace

import numpy as np
import pytest

from freqquest.cnn.detection_thresholds import detection_thresholds, negative_inputs
from freqquest.cnn.devices import Device
from freqquest.cnn.final_model_worker import FitTask, fit_network, save_final_model
from freqquest.cnn.labeled_clips import dataset_split
from freqquest.cnn.model_file import load_model, read_card, to_bytes
from freqquest.cnn.network import build_model, predict_probabilities
from freqquest.cnn.search.outcome import HeldOut
from freqquest.cnn.training_state import TrainingState
from freqquest.dataset.clip_inputs import Analysis
from freqquest.storage import locate
from tests.cnn.conftest import CLASSES, CLIP_NORMALIZATION, EASY, SMALLEST, make_card, make_clips


@pytest.mark.parametrize("several_labels", [False, True])
def test_a_final_model_has_thresholds_of_detection_on_held_out_and_negative_clips(
    tmp_path, several_labels, monkeypatch
):
    # This process has its threads already.
    monkeypatch.setattr("freqquest.cnn.final_model_worker.prepare", lambda device: None)
    card = make_card(CLASSES)
    if several_labels:
        card = replace(card, temperature=[0.7] * 3, thresholds=[0.5] * 3)
    member, file = locate(tmp_path / "member.keras"), locate(tmp_path / "best_model.keras")
    network = build_model(
        SMALLEST, 3, (128, 173), CLIP_NORMALIZATION, several_labels=several_labels
    )
    member.write_bytes(to_bytes(network))
    rng = np.random.default_rng(0)
    held_out = HeldOut(rng.dirichlet([1, 1, 1], 30), np.eye(3, dtype=bool)[np.arange(30) % 3])
    analysis = Analysis(card.clip, card.view)
    save_final_model([member], None, card, analysis, held_out, file)
    negatives = predict_probabilities(load_model(file), negative_inputs(analysis))
    thresholds = detection_thresholds(*held_out, negatives)
    assert read_card(file) == replace(card, detection_thresholds=thresholds)


def test_a_network_whose_training_is_interrupted_goes_on_from_its_last_epoch(tmp_path, monkeypatch):
    monkeypatch.setattr("freqquest.cnn.final_model_worker.prepare", lambda device: None)
    clips = make_clips()
    task = FitTask(
        cnn_config=EASY, split=dataset_split(clips), max_epochs=4, seed=1, save_interval_s=0
    )
    expected = fit_network(clips, task, Device(), locate(tmp_path / "undisturbed.keras"))
    saved, save = [], TrainingState.save

    def save_twice(state):
        if len(saved) == 2:
            raise KeyboardInterrupt
        saved.append(state.num_epochs)
        return save(state)

    file = locate(tmp_path / "network.keras")
    monkeypatch.setattr(TrainingState, "save", save_twice)
    with pytest.raises(KeyboardInterrupt):
        fit_network(clips, task, Device(), file)
    assert not file.exists()
    monkeypatch.setattr(
        TrainingState, "save", lambda state: saved.append(state.num_epochs) or save(state)
    )
    found = fit_network(clips, task, Device(), file)
    assert saved == [1, 2, 3, 4]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert {path.name for path in tmp_path.iterdir()} == {"undisturbed.keras", "network.keras"}
    np.testing.assert_array_equal(fit_network(clips, task, Device(), file), found)
    assert saved == [1, 2, 3, 4]


def test_a_network_whose_state_cannot_be_used_is_trained_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("freqquest.cnn.final_model_worker.prepare", lambda device: None)
    clips = make_clips()
    task = FitTask(cnn_config=EASY, split=dataset_split(clips), max_epochs=1, seed=1)
    file = locate(tmp_path / "network.keras")
    locate(tmp_path / "network.keras.training").write_bytes(b"half")
    assert fit_network(clips, task, Device(), file) is not None
    assert "is trained again, because" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["network.keras"]
