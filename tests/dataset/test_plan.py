import pytest

from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.plan import plan_dataset
from freqquest.errors import UserError


def test_folders_inside_each_other_are_refused(audio_dir, unlabeled_dir):
    with pytest.raises(UserError, match="`dataset_dir=.*/out` is inside `audio_dir=.*`: choose"):
        plan_dataset(PreprocessConfig(audio_dir=str(audio_dir), dataset_dir=str(audio_dir / "out")))
    with pytest.raises(
        UserError, match="low/.* is in both `audio_dir` and `test_dir`: keep test clips out"
    ):
        plan_dataset(
            PreprocessConfig(
                audio_dir=str(audio_dir), dataset_dir="unused", test_dir=str(audio_dir / "low")
            )
        )
