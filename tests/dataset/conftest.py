import shutil
from pathlib import Path

import pytest


@pytest.fixture
def copy_of_dataset(dataset_dir: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    shutil.copytree(dataset_dir, tmp_path / "dataset")
    return tmp_path / "dataset"
