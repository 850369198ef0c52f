"""Fixtures that all tests share: synthesized clips, a dataset of them, one Ray, real clips."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from filelock import FileLock

from freqquest.storage import Location, locate

RATE_HZ = 22_050

# Threads that wait for work by spinning would take the cores from the other xdist worker.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Started in a shell's background, tests ignore SIGINT, and so would the servers that it ends.
signal.signal(signal.SIGINT, signal.default_int_handler)


LONG_FILES = {"test_docs.py", "test_notebook.py"}
"""Files that take as long as the integration tests."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the long files first, so that the many short ones fill the gap at the end."""
    items.sort(
        key=lambda item: "integration" not in item.path.parts and item.path.name not in LONG_FILES
    )


def tone(pitch_hz: float, duration_s: float = 4.0, seed: int = 0) -> np.ndarray:
    """Return a tone with some noise, `[S]`."""
    time = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    noise = np.random.default_rng(seed).standard_normal(time.shape[0])
    return (0.3 * np.sin(2 * np.pi * pitch_hz * time) + 0.01 * noise).astype(np.float32)


def write_clips(root: Path, num_recordings: int = 5, clips_per_recording: int = 2) -> Path:
    """Write clips of low and high tones, named as in UrbanSound8K; return the folder."""
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


MakeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """A function that makes a folder once, for all xdist workers."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder(name: str, make: Callable[[Path], object]) -> Path:
        path, done = shared / name, shared / f"{name}.done"
        with FileLock(shared / f"{name}.lock"):
            if not done.exists():
                make(path)
                done.touch()
        return path

    return folder


@pytest.fixture(scope="session")
def audio_dir(make_once: MakeOnce) -> Path:
    """Twenty clips of two classes and ten recordings; not to be changed."""
    return make_once("audio", write_clips)


@pytest.fixture(scope="session")
def unlabeled_dir(make_once: MakeOnce) -> Path:
    """Three unlabeled clips and a file that is not audio; not to be changed."""

    def make(root: Path) -> None:
        root.mkdir()
        for name, pitch_hz in {"c.wav": 210.0, "a.wav": 3050.0, "b.WAV": 205.0}.items():
            soundfile.write(root / name, tone(pitch_hz), RATE_HZ)
        (root / "broken.wav").write_bytes(b"no audio at all")

    return make_once("unlabeled", make)


@pytest.fixture(scope="session")
def model_file(make_once: MakeOnce) -> Location:
    """The file of an untrained classifier whose predictions differ between clips; read only."""
    from tests.cnn.conftest import CLASSES, write_classifier

    def make(folder: Path) -> None:
        folder.mkdir()
        write_classifier(locate(folder / "best_model.keras"), CLASSES)

    return locate(make_once("model", make) / "best_model.keras")


@pytest.fixture(scope="session")
def s3_clips(audio_dir: Path) -> Iterator[str]:
    """URI of the same clips on an S3 server; the environment names the server."""
    from freqquest.storage import upload_dir
    from tests.servers import s3_server

    with s3_server("bucket") as env, pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        upload_dir(audio_dir, locate("s3://bucket/clips"))
        yield "s3://bucket/clips"


@pytest.fixture(scope="session")
def local_ray() -> Iterator[str]:
    """Address of a Ray with two cores for all tests of this process and for the jobs they start."""
    from freqquest.cluster import connection

    connection.prepare_environment()
    # As if every trial took longer to end than Ray waits.
    os.environ["TUNE_FUNCTION_THREAD_TIMEOUT_S"] = "0"
    import ray

    ray.init(
        "local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR"
    )
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


@pytest.fixture(scope="session")
def dataset_dir(local_ray: str, make_once: MakeOnce, audio_dir: Path, unlabeled_dir: Path) -> Path:
    """A dataset of 32 training rows in five shards, 4 validation and 3 test rows; read only."""
    from freqquest.dataset.config import PreprocessConfig
    from freqquest.dataset.write import write_dataset

    def make(folder: Path) -> None:
        write_dataset(
            PreprocessConfig(
                audio_dir=str(audio_dir),
                dataset_dir=str(folder),
                test_dir=str(unlabeled_dir),
                num_augmented_copies=1,
                clips_per_shard=7,
            )
        )

    return make_once("dataset", make)


@pytest.fixture(scope="session")
def embedded_dataset_dir(local_ray: str, make_once: MakeOnce, audio_dir: Path) -> Path:
    """A dataset with vectors of a tiny network, which lies beside it as network.onnx; read only."""
    from freqquest.dataset.config import PreprocessConfig
    from freqquest.dataset.write import write_dataset
    from tests.embedding.tiny_networks import write_onnx

    def make(folder: Path) -> None:
        folder.mkdir()
        write_dataset(
            PreprocessConfig(
                audio_dir=str(audio_dir),
                dataset_dir=str(folder / "dataset"),
                num_augmented_copies=1,
                clips_per_shard=7,
                embedding=str(write_onnx(folder / "network.onnx", 8_000)),
                embedding_rate=16_000,
            )
        )

    return make_once("embedded", make) / "dataset"


@pytest.fixture(scope="session")
def mlflow_uri(make_once: MakeOnce) -> str:
    """URI of an empty MLflow store in a file; to make its tables takes seconds."""

    def make(folder: Path) -> None:
        import mlflow

        folder.mkdir()
        mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()

    return f"sqlite:///{make_once('mlflow', make)}/mlflow.db"


@pytest.fixture
def mlflow_runs(
    mlflow_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], list[SimpleNamespace]]:
    """A function that reads the runs of an experiment, and the store as that of this test."""
    file = tmp_path / "mlflow.db"
    shutil.copy(mlflow_uri.removeprefix("sqlite:///"), file)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{file}")
    return partial(read_mlflow, f"sqlite:///{file}")


def read_mlflow(uri: str, experiment: str) -> list[SimpleNamespace]:
    """Return the runs of an experiment in MLflow, with all values of each metric by step."""
    import mlflow

    client = mlflow.MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    runs = client.search_runs([found.experiment_id]) if found else []
    return [
        SimpleNamespace(
            info=run.info,
            data=run.data,
            curves={
                name: [
                    (point.step, point.value)
                    for point in client.get_metric_history(run.info.run_id, name)
                ]
                for name in run.data.metrics
            },
        )
        for run in runs
    ]


@pytest.fixture
def offline_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which Weights & Biases keeps the runs of this test, without a network."""
    folder = tmp_path / "wandb_files"
    folder.mkdir()
    for name, value in {"MODE": "offline", "DIR": str(folder), "ERROR_REPORTING": "false"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real clips (UrbanSound8K's layout), which no clone contains."""
    folder = os.environ.get("FREQQUEST_REAL_DATA")
    if not folder:
        pytest.skip("FREQQUEST_REAL_DATA names no folder of real clips")
    return Path(folder)
