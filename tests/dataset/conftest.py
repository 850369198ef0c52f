import shutil
from pathlib import Path

import pytest

from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.write import write_dataset


@pytest.fixture(scope="session")
def dataset_dir(
    local_ray: str, audio_dir: Path, unlabelled_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A dataset of 32 training rows in five shards, 4 validation rows, 3 test rows; not to be changed."""
    folder = tmp_path_factory.mktemp("dataset") / "dataset"
    write_dataset(
        PreprocessConfig(
            audio_dir=str(audio_dir),
            dataset_dir=str(folder),
            test_dir=str(unlabelled_dir),
            num_augmented_copies=1,
            clips_per_shard=7,
        )
    )
    return folder


@pytest.fixture
def copy_of_dataset(dataset_dir: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    shutil.copytree(dataset_dir, tmp_path / "dataset")
    return tmp_path / "dataset"
