from dataclasses import replace

import numpy as np
import pytest

from freqquest.cnn.detection_thresholds import detection_thresholds, negative_inputs
from freqquest.cnn.final_model_worker import save_final_model
from freqquest.cnn.model_file import load_model, read_card, to_bytes
from freqquest.cnn.network import build_model, predict_probabilities
from freqquest.cnn.search.outcome import HeldOut
from freqquest.dataset.clip_inputs import Analysis
from freqquest.storage import locate
from tests.cnn.conftest import CLASSES, CLIP_NORMALIZATION, SMALLEST, make_card


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
