"""A classifier beside its export, on a dataset's clips, on demo clips and on real ones."""

import dataclasses

import numpy as np
import pytest

from freqquest.audio.decode import load_clip
from freqquest.cnn.model_file import load_model, read_card
from freqquest.errors import UserError
from freqquest.export import classifier
from freqquest.export.classifier_graph import write_classifier
from freqquest.export.clips import LabeledWaveforms
from freqquest.export.config import ExportConfig
from freqquest.export.runtimes import load
from freqquest.storage import locate
from tests.export.conftest import RECIPE, probabilities, write_model


def test_without_audio_demo_clips_are_compared_but_8_bits_are_refused(
    tone_model, dataset_dir, tmp_path, monkeypatch
):
    none = LabeledWaveforms(waveforms=[], labels=np.zeros((0, 2), bool), source="")
    monkeypatch.setattr(classifier, "validation_clips", lambda *_: none)
    config = ExportConfig(
        model=str(tone_model), format="litert", output="unused", dataset_dir=str(dataset_dir)
    )
    report = classifier.export_classifier(config, tone_model, tmp_path / "model")
    assert report.clips == "20 demo clips (no validation clip can be read)"
    assert [each.score for each in report.measurements] == [None, None]
    config = dataclasses.replace(config, int8=True)
    with pytest.raises(UserError, match="`int8` is measured on the validation clips of `dataset_d"):
        classifier.export_classifier(config, tone_model, tmp_path / "model")


@pytest.mark.parametrize("kind", ["onnx", "litert"])
def test_real_clips_get_the_same_answers(kind, real_data, tmp_path):
    model = write_model(locate(tmp_path / "best_model.keras"), RECIPE, num_members=2)
    card, clips = read_card(model), []
    for path in sorted((real_data / "train").glob("*/*.flac"))[::50]:
        with path.open("rb") as stream:
            clips.append(load_clip(stream, card.clip).waveform)
    wanted = probabilities(model, card, np.stack(clips))
    assert np.ptp(wanted, axis=0).max() > 0.05, "the clips differ"
    write_classifier(load_model(model), card, kind, tmp_path / "model")
    given = load(kind, tmp_path / "model")(waveform=np.stack(clips))
    np.testing.assert_allclose(given, wanted, atol=1e-3)
    np.testing.assert_array_equal(card.predict(given)[0], card.predict(wanted)[0])
