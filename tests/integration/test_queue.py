"""Jobs in the queue of a real cluster with a token; they read and write on a real S3 server."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from urllib.request import urlopen

import numpy as np
import pandas as pd
import psutil
import pytest
import soundfile

from freqquest.cgan.generate_config import GenerateConfig
from freqquest.cgan.generate_worker import synthesize
from freqquest.cnn.model_file import read_card
from freqquest.runs.tensorboard_server import follow
from freqquest.storage import locate
from tests.conftest import RATE_HZ, tone
from tests.integration.conftest import ROOT, TINY, events_of, start
from tests.integration.test_serve import Service, replica_processes
from tests.servers import DEADLINE_S, answers, free_port, running, wait_until

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
RUN = "s3://bucket/run"
DATASET = ("--dataset-dir", "s3://bucket/dataset")
NUM_EPOCHS = 4
TRAINING = ("python", "jobs/train_cgan.py", *DATASET, "--run-dir", RUN, "--epochs", NUM_EPOCHS)
JUDGED = ("--judge", "s3://bucket/cnn/best_model.keras", "--judge-clips", 1, "--judge-every", 3)


@pytest.fixture(scope="module")
def queue(s3_clips):
    """A cluster of one node with a function for `ray job ...`."""
    folder = tempfile.mkdtemp(prefix="ray-")  # Ray's sockets need a short path
    token = Path(folder) / "token"
    token.write_text("0123456789abcdef" * 4)
    port, dashboard, agent = free_port(), free_port(), free_port()
    env = os.environ | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_JOB_STOP_WAIT_TIME_S": str(DEADLINE_S),  # before a job is killed
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }
    env.pop("RAY_ADDRESS", None)
    options = {
        "num-cpus": 2,
        "object-store-memory": 200_000_000,
        "node-ip-address": "127.0.0.1",
        "port": port,
        "min-worker-port": 0,
        "max-worker-port": 0,
        "dashboard-host": "127.0.0.1",
        "dashboard-port": dashboard,
        "dashboard-agent-listen-port": agent,
        "temp-dir": f"{folder}/ray",
    }
    head = [str(BIN / "ray"), "start", "--head", "--block"]
    head += [f"--{name}={value}" for name, value in options.items()]

    def ray(verb, *arguments, **other_env):
        address = f"http://127.0.0.1:{dashboard}"
        done = subprocess.run(
            [BIN / "ray", "job", verb, "--address", address, *map(str, arguments)],
            cwd=ROOT,
            env=env | other_env,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        return SimpleNamespace(code=done.returncode, text=done.stdout + done.stderr)

    with running(head, env, lambda: answers(dashboard) and ray("list").code == 0) as process:
        yield SimpleNamespace(
            ray=ray, env=env, folder=folder, address=f"127.0.0.1:{port}", process=process
        )
    shutil.rmtree(folder, ignore_errors=True)


def submit(queue, *command, options=()):
    return queue.ray("submit", *options, "--working-dir", ".", "--", *command)


@pytest.fixture(scope="module")
def dataset(queue):
    """A job that prints the size and the names of what was uploaded, and then makes a dataset."""
    job = shlex.join(["jobs/preprocess.py", "--audio-dir", "s3://bucket/clips", *DATASET])
    names, size = "$(ls -A)", "$(find . -type f -exec cat {} + | wc -c)"
    done = submit(queue, "sh", "-c", f"echo uploaded: {size} {names} && python {job}")
    assert done.code == 0, done.text
    return done


@pytest.fixture(scope="module")
def model(queue, dataset):
    few = ("--num-trials", 1, "--max-epochs", 1, "--num-members", 0, *TINY)
    done = submit(
        queue, "python", "jobs/tune_cnn.py", *DATASET, "--run-dir", "s3://bucket/cnn", *few
    )
    assert done.code == 0, done.text
    return done


def test_only_the_code_is_uploaded(dataset):
    # One line: Ray writes lines of its own between those of the job.
    (listing,) = re.findall(r"^uploaded: (.+)$", dataset.text, re.MULTILINE)
    size, *names = listing.split()
    assert int(size) < 2_000_000
    assert names == ["freqquest", "jobs"]


def test_the_log_of_a_submitted_job_has_the_preflight_its_progress_and_its_results(dataset):
    assert re.search(
        r"^--dataset-dir +write s3://bucket/dataset +1 node can +ok$", dataset.text, re.MULTILINE
    )
    assert "preprocess: 100% 20/20" in dataset.text
    assert "rows: 16 train, 4 validation" in dataset.text


def test_a_search_keeps_its_model_on_remote_storage(model):
    assert read_card(locate("s3://bucket/cnn/best_model.keras"), "").classes == ["high", "low"]
    assert "python -m freqquest watch --run-dir s3://bucket/cnn" in model.text


def test_a_stopped_training_ends_by_itself_and_the_same_submit_continues_it_on_remote_storage(
    queue, model, tmp_path
):
    run = locate(RUN)

    def has_checkpoint():
        return (run / "checkpoints").is_dir() and (run / "checkpoints").list_dir()

    def workers():
        return [process for process in descendants(queue.process) if is_worker(process)]

    options = ["--submission-id", "first", "--no-wait"]
    assert submit(queue, *TRAINING, *JUDGED, options=options).code == 0
    wait_until(queue.process, has_checkpoint)
    (worker,) = workers()
    worker.suspend()  # the training cannot end before the stop arrives, however slow the command is
    assert "Job 'first' was stopped" in queue.ray("stop", "first").text
    assert "error: interrupted; finished stages are kept" in queue.ray("logs", "first").text
    wait_until(queue.process, lambda: not workers())
    assert not (run / "generator.safetensors").exists()
    follow(run / "tensorboard", tmp_path / "logs")  # which arrived while it trained
    assert "loss/loss_D" in events_of(tmp_path / "logs" / "cgan").Tags()["scalars"]
    before = read_epochs(run)

    again = submit(queue, *TRAINING, *JUDGED)
    assert again.code == 0, again.text
    after = read_epochs(run)
    assert after["epoch"].tolist() == list(range(1, NUM_EPOCHS + 1))
    assert after["seconds"][0] == before["seconds"][0]  # the first epoch was not trained again
    assert np.isfinite(after.loc[[2, 3], "judge/accuracy"]).all()
    follow(run / "tensorboard", tmp_path / "logs")
    shown = [event.step for event in events_of(tmp_path / "logs" / "cgan").Scalars("loss/loss_D")]
    assert shown == list(range(1, NUM_EPOCHS + 1))

    config = GenerateConfig(
        generator=f"{RUN}/generator.safetensors",
        label="all",
        output_dir="s3://bucket/new",
        num_clips=2,
    )
    synthesize(config)
    assert len(locate("s3://bucket/new").list_dir()) == 4


def descendants(process):
    return psutil.Process(process.pid).children(recursive=True)


def is_worker(process):
    try:
        return "ray::RayTrainWorker" in " ".join(process.cmdline())
    except psutil.Error:  # it has just ended
        return False


def test_tensorboard_shows_logs_on_remote_storage_in_one_command(queue, model):
    port = free_port()
    arguments = ["--run-dir", "s3://bucket/cnn", "--port", port, "--interval-s", 1]
    with start(queue.address, "watch", *arguments) as process:
        wait_until(process, lambda: answers(port))
        (trial,) = (locate("s3://bucket/cnn") / "tensorboard" / "cnn").list_dir()
        shown = wait_until(
            process, lambda: json.load(urlopen(f"http://127.0.0.1:{port}/data/runs"))
        )
        process.terminate()
        assert process.wait(timeout=DEADLINE_S) == 0
    assert shown == [f"tensorboard/cnn/{trial.name}"]
    assert not answers(port)


def test_work_that_failed_is_a_failed_job_with_one_line_that_says_why(queue):
    paths = ["--audio-dir", "clips", "--dataset-dir", "s3://bucket/other"]
    done = submit(queue, "python", "jobs/preprocess.py", *paths, options=["--submission-id", "bad"])
    assert done.code == 1
    assert "Job 'bad' failed" in done.text
    assert (
        "error: --audio-dir clips is relative to the folder that the queue makes for a job"
        in done.text
    )
    assert not locate("s3://bucket/other").exists()


def test_a_submitted_service_answers_until_it_is_stopped(queue, model_file, tmp_path):
    soundfile.write(tmp_path / "short.wav", tone(300.0, 1.5), RATE_HZ)
    port = free_port()
    command = ["python", "jobs/serve.py", "--model", model_file, "--port", port]
    submitted = submit(queue, *command, options=["--no-wait", "--submission-id", "service"])
    assert submitted.code == 0, submitted.text
    wait_until(queue.process, lambda: answers(port))
    service = Service(queue.process, f"http://127.0.0.1:{port}")
    assert service.classify((tmp_path / "short.wav").read_bytes())[0] == 200
    assert replica_processes(port)
    assert f"serving {model_file} at {service.address}" in queue.ray("logs", "service").text
    assert queue.ray("stop", "service").code == 0
    wait_until(queue.process, lambda: not replica_processes(port))
    assert not answers(port)


NOT_ACCEPTED = "does not accept this job's token: set RAY_AUTH_MODE=token"
CONNECTIONS = [
    ({"RAY_AUTH_TOKEN": "wrong"}, NOT_ACCEPTED),
    ({"RAY_AUTH_MODE": "disabled"}, NOT_ACCEPTED),
    ({"RAY_AUTH_TOKEN": "wrong", "RAY_ADDRESS": None}, NOT_ACCEPTED),
    (
        {"RAY_AUTH_TOKEN_PATH": "/nowhere"},
        "no token for the Ray cluster: set RAY_AUTH_MODE=token",
    ),
    ({"RAY_ADDRESS": "127.0.0.1:1"}, "no Ray cluster answers at RAY_ADDRESS=127.0.0.1:1"),
    ({"RAY_ADDRESS": "http://127.0.0.1:8265"}, "send it there with ray job submit --address"),
]


def test_a_job_that_cannot_connect_says_why(queue):
    command = [sys.executable, "jobs/generate.py"]
    # A generator that does not exist would be refused before the connection.
    command += ["--generator", "README.md", "--label", "any", "--output-dir", "any"]
    with ExitStack() as stack:
        jobs = []  # side by side, as they mostly wait
        for wrong, message in CONNECTIONS:
            env = queue.env | {"RAY_ADDRESS": queue.address, "RAY_TMPDIR": queue.folder} | wrong
            env = {name: value for name, value in env.items() if value is not None}
            job = subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)
            jobs.append((stack.enter_context(job), wrong, message))
        for job, wrong, message in jobs:
            _, errors = job.communicate(timeout=DEADLINE_S)
            assert job.returncode == 2, (wrong, errors)
            assert message in errors.splitlines()[-1], wrong
            assert "Traceback" not in errors, wrong


@pytest.mark.parametrize("wrong", [{"RAY_AUTH_TOKEN": "wrong"}, {"RAY_AUTH_MODE": "disabled"}])
def test_the_queue_refuses_a_submit_without_its_token(queue, wrong):
    done = queue.ray("list", **wrong)
    assert done.code == 1
    assert "Ensure that the token for the cluster is available" in done.text


def read_epochs(run):
    with (run / "cgan_epochs.csv").open() as stream:
        return pd.read_csv(stream)
