"""What tests share: synthesized clips, one Ray for the whole session, the real clips where there are any."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE_HZ = 22_050


def tone(pitch_hz: float, duration_s: float = 4.0, seed: int = 0) -> np.ndarray:
    """A tone with some noise, `[S]`."""
    time = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    noise = np.random.default_rng(seed).standard_normal(time.shape[0])
    return (0.3 * np.sin(2 * np.pi * pitch_hz * time) + 0.01 * noise).astype(np.float32)


def write_clips(root: Path, num_recordings: int = 5, clips_per_recording: int = 2) -> Path:
    """A folder of two classes, low and high tones, with UrbanSound8K-style names; returns the folder."""
    for class_index, (label, pitch_hz) in enumerate({"low": 200.0, "high": 3000.0}.items()):
        (root / label).mkdir(parents=True)
        for recording in range(num_recordings):
            for piece in range(clips_per_recording):
                number = 100 * (class_index + 1) + recording
                clip = tone(pitch_hz * (1 + 0.02 * recording), seed=10 * number + piece)
                soundfile.write(
                    root / label / f"{number}-{class_index}-0-{piece}.wav", clip, RATE_HZ
                )
    return root


@pytest.fixture(scope="session")
def audio_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty clips of two classes and ten recordings; not to be changed."""
    return write_clips(tmp_path_factory.mktemp("audio") / "train")


@pytest.fixture(scope="session")
def unlabeled_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four unlabeled clips, one of which is no audio; not to be changed."""
    root = tmp_path_factory.mktemp("test_clips")
    for name, pitch_hz in {"c.wav": 210.0, "a.wav": 3050.0, "b.WAV": 205.0}.items():
        soundfile.write(root / name, tone(pitch_hz), RATE_HZ)
    (root / "broken.wav").write_bytes(b"no audio at all")
    return root


@pytest.fixture(scope="session")
def s3_clips(audio_dir: Path) -> Iterator[str]:
    """The same clips on a server that speaks S3, which the environment names; the value is their URI."""
    from freqquest.storage import locate, upload_dir
    from tests.servers import s3_server

    with s3_server("bucket") as env, pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        upload_dir(audio_dir, locate("s3://bucket/clips"))
        yield "s3://bucket/clips"


@pytest.fixture(scope="session")
def local_ray() -> Iterator[str]:
    """One Ray on two cores for all tests that need one; the value is its address, for jobs in other processes."""
    from freqquest.cluster import connection

    connection.prepare_environment()
    os.environ["TUNE_FUNCTION_THREAD_TIMEOUT_S"] = (
        "0"  # as if every trial took longer to end than Ray waits
    )
    import ray

    ray.init(
        "local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR"
    )
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


@pytest.fixture(scope="session")
def dataset_dir(
    local_ray: str, audio_dir: Path, unlabeled_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A dataset of 32 training rows in five shards, 4 validation rows, 3 test rows; not to be changed."""
    from freqquest.dataset.config import PreprocessConfig
    from freqquest.dataset.write import write_dataset

    folder = tmp_path_factory.mktemp("dataset") / "dataset"
    write_dataset(
        PreprocessConfig(
            audio_dir=str(audio_dir),
            dataset_dir=str(folder),
            test_dir=str(unlabeled_dir),
            num_augmented_copies=1,
            clips_per_shard=7,
        )
    )
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real clips (UrbanSound8K's layout), which no clone contains."""
    folder = os.environ.get("FREQQUEST_REAL_DATA")
    if not folder:
        pytest.skip("FREQQUEST_REAL_DATA names no folder of real clips")
    return Path(folder)
