import numpy as np
import pytest
import soundfile

from freqquest.benchmark.preprocess_files import join_clips, link_files, require_links
from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.plan import ShardPlans, plan_dataset
from freqquest.errors import UserError


def clips_of(audio_dir):
    return sorted(audio_dir.rglob("*.wav"))


def test_long_files_hold_the_same_sound_as_their_short_files(audio_dir, tmp_path):
    long_files, short_files = join_clips(clips_of(audio_dir), tmp_path / "long", tmp_path / "short")
    assert [path.parent.name for path in long_files].count("low") == 2
    assert len(short_files) == 10 * len(long_files) == 40
    for number, path in enumerate(long_files):
        parts = short_files[10 * number : 10 * number + 10]
        assert {part.parent.name for part in parts} == {path.parent.name}
        sound, _ = soundfile.read(path)
        assert len(sound) == 40 * 22_050
        np.testing.assert_array_equal(
            sound, np.concatenate([soundfile.read(part)[0] for part in parts])
        )


def test_a_long_file_and_its_short_files_are_one_recording(audio_dir, tmp_path):
    join_clips(clips_of(audio_dir), tmp_path / "long", tmp_path / "short")
    for folder in ("long", "short"):
        plan = plan_dataset(
            PreprocessConfig(audio_dir=str(tmp_path / folder), dataset_dir=str(tmp_path / "new"))
        )
        assert plan.clips["recording"].nunique() == 4
        assert "recordings unseen in training" in plan.split_description


def test_an_unreadable_clip_is_named(tmp_path):
    clip = tmp_path / "siren" / "a.wav"
    clip.parent.mkdir()
    clip.write_bytes(b"no audio at all")
    with pytest.raises(UserError, match=r"a\.wav: not readable"):
        join_clips([clip], tmp_path / "long", tmp_path / "short")


def test_many_linked_files_can_be_planned(audio_dir, tmp_path):
    assert link_files(clips_of(audio_dir), 1_000, tmp_path / "plan") == 10
    config = PreprocessConfig(audio_dir=str(tmp_path / "plan"), dataset_dir=str(tmp_path / "new"))
    plan = plan_dataset(config)
    assert len(plan.classes) == 10
    assert plan.clips["recording"].nunique() == 20
    assert ShardPlans(plan.clips, plan.classes, config).num_rows == 1_000


def test_more_links_than_a_file_system_allows_are_refused(audio_dir):
    clips = clips_of(audio_dir)
    require_links(clips, 1_200_000, "plan_files")
    with pytest.raises(
        UserError, match=r"`plan_files=1200001` must be at most 1200000, 60000 hard"
    ):
        require_links(clips, 1_200_001, "plan_files")
