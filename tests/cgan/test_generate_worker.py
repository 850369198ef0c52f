import numpy as np
import pandas as pd
import pytest
import soundfile

from freqquest.cgan.generate_config import GenerateConfig
from freqquest.cgan.generate_worker import synthesize
from freqquest.cgan.generator_file import generator_bytes
from freqquest.errors import UserError
from tests.cgan.conftest import card, loud_weights


@pytest.fixture(scope="module", params=["reference", "default"])
def preset(request):
    return request.param


@pytest.fixture(scope="module")
def generator_file(tmp_path_factory, preset):
    path = tmp_path_factory.mktemp("generator") / "generator.safetensors"
    path.write_bytes(generator_bytes(loud_weights(preset), card(preset)))
    return path


def config(generator_file, folder, **settings):
    return GenerateConfig(
        generator=str(generator_file),
        output_dir=str(folder),
        **{"label": "siren", "num_clips": 1} | settings,
    )


def test_audible_clips_are_named_by_label_seed_and_index(generator_file, preset, tmp_path):
    clips = synthesize(config(generator_file, tmp_path, label="all", num_clips=2, seed=4)).clips
    assert [clip.name for clip in clips] == [
        "bark_4_000.wav",
        "bark_4_001.wav",
        "siren_4_000.wav",
        "siren_4_001.wav",
    ]
    for path in tmp_path.iterdir():
        samples, rate = soundfile.read(path)
        assert rate == 22_050
        assert len(samples) == (card(preset).scale.audible_frames - 1) * 256
        assert soundfile.info(path).subtype == "PCM_16"
        assert 0.001 < np.abs(samples).max() < 1


def test_a_seed_gives_the_same_clip_for_any_number_of_clips(generator_file, tmp_path):
    synthesize(config(generator_file, tmp_path / "a", num_clips=1))
    synthesize(config(generator_file, tmp_path / "b", num_clips=2))
    synthesize(config(generator_file, tmp_path / "c", seed=1))
    synthesize(config(generator_file, tmp_path / "d", num_clips=1))
    names = ("a/siren_0_000.wav", "b/siren_0_000.wav", "b/siren_0_001.wav", "c/siren_1_000.wav")
    first, again, other, other_seed = (soundfile.read(tmp_path / name)[0] for name in names)
    np.testing.assert_allclose(again, first, atol=1e-3)  # other clips change the rounding
    assert np.abs(other - first).max() > 0.01
    assert np.abs(other_seed - first).max() > 0.01
    assert (tmp_path / "d" / "siren_0_000.wav").read_bytes() == (
        tmp_path / "a" / "siren_0_000.wav"
    ).read_bytes()


def test_progress_counts_the_clips(generator_file, tmp_path):
    counts = []
    synthesize(
        config(generator_file, tmp_path, num_clips=2), on_clips=lambda done, _: counts.append(done)
    )
    assert counts == [0, 2]


def test_an_unknown_label_is_refused_with_the_known_ones(generator_file, tmp_path):
    with pytest.raises(UserError, match="`label=cat` must be one of: bark, siren, all"):
        synthesize(config(generator_file, tmp_path, label="cat"))


def test_an_output_folder_that_is_a_file_is_refused(generator_file, tmp_path):
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(UserError, match=r"`output_dir=.*notes.txt` is a file: give a folder"):
        synthesize(config(generator_file, tmp_path / "notes.txt"))


def test_existing_clips_are_kept_except_those_of_a_lost_attempt(generator_file, tmp_path):
    clips = synthesize(config(generator_file, tmp_path))
    names = [path.name for path in tmp_path.iterdir()]
    with pytest.raises(
        UserError,
        match="siren_0_000.wav exists: choose another `output_dir` or `seed`, or pass `overwrite=T",
    ):
        synthesize(config(generator_file, tmp_path), existing_names=names)
    assert synthesize(config(generator_file, tmp_path), existing_names=[]) == clips
    assert synthesize(config(generator_file, tmp_path, overwrite=True), names) == clips


class LateJudge:
    """Judge that recognizes all candidates of a class but the first, and tells them apart."""

    thresholds = None

    def __init__(self, classes, duration_s):
        self.classes, self.duration_s, self.num_heard = classes, duration_s, 0

    def classify_waveforms(self, waveforms, sample_rate_hz):
        assert waveforms.shape[1] == round(self.duration_s * sample_rate_hz)
        numbers = self.num_heard + np.arange(len(waveforms))
        self.num_heard += len(waveforms)
        labels, numbers = numbers // 4, numbers % 4  # of two clips, oversampled twice
        wrong = numbers == 0
        probabilities = np.where(np.eye(2)[labels ^ wrong], 0.75, 0.25)
        return probabilities, np.array([0.0, 9.0, 1.0, 8.0])[numbers, None]


def test_the_judge_chooses_among_candidates_and_a_table_tells_of_all(tmp_path, generator_file):
    notes = []
    generation = synthesize(
        config(generator_file, tmp_path / "a", label="all", num_clips=2, oversample=2, judge="j"),
        on_clips=lambda done, note: notes.append((done, note)),
        start_judge=LateJudge,
    )
    names = ["bark_0_002.wav", "bark_0_003.wav", "siren_0_002.wav", "siren_0_003.wav"]
    assert [clip.name for clip in generation.clips] == names
    assert (generation.num_candidates, generation.num_recognized) == (8, 6)
    assert (0, "judged 8 of 8 candidates") in notes
    assert {path.name for path in (tmp_path / "a").iterdir()} == {*names, "all_0_candidates.csv"}
    table = pd.read_csv(tmp_path / "a" / "all_0_candidates.csv")
    assert table.columns.tolist() == [
        *("path", "label", "Class", "probability", "recognized", "kept")
    ]
    assert table["path"][table["kept"]].tolist() == names
    assert table["Class"].tolist() == ["siren", *["bark"] * 4, *["siren"] * 3]
    assert table["probability"].tolist() == [0.25, 0.75, 0.75, 0.75] * 2
    synthesize(config(generator_file, tmp_path / "b", num_clips=4))
    samples = [soundfile.read(tmp_path / run / "siren_0_002.wav")[0] for run in ("a", "b")]
    np.testing.assert_allclose(*samples, atol=1e-3)  # a candidate is the clip of its number


def test_an_existing_table_of_candidates_is_kept(generator_file, tmp_path):
    with pytest.raises(UserError, match="siren_0_candidates.csv exists: choose another"):
        synthesize(
            config(generator_file, tmp_path, oversample=2, judge="j"), {"siren_0_candidates.csv"}
        )


def test_a_missing_generator_is_named_by_the_jobs_parameter(tmp_path):
    with pytest.raises(UserError, match="`generator=.*/none` does not exist: give the generator.s"):
        synthesize(config(tmp_path / "none", tmp_path))
