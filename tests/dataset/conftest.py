import shutil
from pathlib import Path

import pytest


@pytest.fixture
def copy_of_dataset(dataset_dir: Path, tmp_path: Path) -> Path:
    """A copy of the dataset that a test may change."""
    shutil.copytree(dataset_dir, tmp_path / "dataset")
    return tmp_path / "dataset"
