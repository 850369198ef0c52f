"""The serve job: its answers beside those of other jobs, load, bad uploads, and its end."""

import http.client
import json
import os
import select
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import psutil
import pytest
import soundfile

from freqquest.cnn.classifier import Classifier
from freqquest.storage import locate
from tests.cnn.conftest import CLASSES, write_classifier
from tests.conftest import RATE_HZ, tone
from tests.detection.conftest import listen_here
from tests.integration.conftest import start
from tests.serving.test_access import make_certificate

pytestmark = pytest.mark.slow

TOKEN = "0123456789abcdef"


@dataclass
class Service:
    """A service that runs."""

    process: subprocess.Popen
    address: str
    token: str = ""
    context: ssl.SSLContext | None = None

    @property
    def port(self):
        return int(self.address.rpartition(":")[2])

    def connect(self):
        scheme, _, host = self.address.partition("://")
        if scheme == "https":
            return http.client.HTTPSConnection(host, timeout=120, context=self.context)
        return http.client.HTTPConnection(host, timeout=120)

    def get(self, path):
        """Return the status and the body of a GET."""
        return self._request("GET", path, None)

    def classify(self, body, **headers):
        """Return the status and the JSON for a file."""
        status, content = self._request("POST", "/classify", body, **headers)
        return status, json.loads(content)

    def _request(self, method, path, body, **headers):
        connection = self.connect()
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response.status, content

    def counter(self, name):
        """Return a counter."""
        lines = self.get("/metrics")[1].decode().splitlines()
        return {line.split()[0]: float(line.split()[1]) for line in lines if line.startswith(name)}


@contextmanager
def serving(ray_address, *arguments, token="", context=None):
    """Run the job until it answers."""
    with start(ray_address, "serve", "--port", 0, *arguments, stdout=subprocess.PIPE) as process:
        line = process.stdout.readline()
        assert line.startswith("serving "), process.stderr.read()
        yield Service(process, line.split()[-1], token, context)
        if process.poll() is None:
            process.terminate()
            assert process.wait(60) == 0


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    """An untrained classifier of several labels, which hears much."""
    file = locate(tmp_path_factory.mktemp("model") / "best_model.keras")
    return write_classifier(file, CLASSES, thresholds=[0.5, 0.4, 0.3])


@pytest.fixture(scope="module")
def recordings_dir(tmp_path_factory):
    """A recording of 80 s with tones and noise in turn, and a short clip."""
    root = tmp_path_factory.mktemp("recordings")
    moments = np.arange(80 * RATE_HZ) / RATE_HZ
    sound = 0.003 * np.random.default_rng(0).standard_normal(len(moments))
    for begin in range(3, 80, 11):
        inside = (moments >= begin) & (moments < begin + 5)
        sound[inside] += 0.3 * np.sin(2 * np.pi * 50 * begin * moments[inside])
    soundfile.write(root / "long.flac", sound, RATE_HZ)
    soundfile.write(root / "short.wav", tone(300.0, 1.5), RATE_HZ)
    return root


@pytest.fixture(scope="module")
def service(local_ray, model_file):
    """The job on the Ray of the tests, on one core."""
    limits = ["--max-size-mb", "20", "--time-limit-s", "30"]
    with serving(local_ray, "--model", model_file, *limits) as running:
        yield running


def test_answers_are_those_of_the_classifier_and_the_detect_job(
    job, service, model_file, recordings_dir, tmp_path, monkeypatch
):
    names = ["long.flac", "short.wav"]
    paths = [str(recordings_dir / name) for name in names]
    predictions = Classifier.load(model_file.path).predict(paths).set_axis(names)
    listen_here(monkeypatch)
    inputs = ["--model", model_file, "--audio-dir", recordings_dir]
    job("detect", *inputs, "--output", tmp_path / "events.json")
    events = json.loads((tmp_path / "events.json").read_text())["recordings"]
    recordings = {each["path"]: each for each in events}
    assert service.get("/healthz") == (200, b'{"status":"ok"}')
    assert json.loads(service.get("/model")[1])["classes"] == CLASSES
    for name in names:
        status, answer = service.classify((recordings_dir / name).read_bytes())
        assert status == 200
        assert answer["duration_s"] == recordings[name]["duration_s"]
        assert answer["events"] == [
            event | {"confidence": pytest.approx(event["confidence"], abs=2e-4)}
            for event in recordings[name]["events"]
        ]
        # Of a longer one, the classifier hears the first window alone.
        assert answer["windows"][0]["probabilities"] == {
            label: pytest.approx(predictions.loc[name, f"probability_{label}"], abs=2e-6)
            for label in CLASSES
        }
    assert answer["label"] == predictions.loc["short.wav", "label"]
    assert recordings["long.flac"]["events"]


def test_two_hundred_requests_twenty_at_a_time_have_no_error(service, recordings_dir):
    clip = (recordings_dir / "short.wav").read_bytes()
    expected = service.classify(clip)

    def ask(_):
        begun = time.perf_counter()
        assert service.get("/healthz")[0] == 200
        healthy_s = time.perf_counter() - begun
        assert service.classify(clip) == expected
        return healthy_s, time.perf_counter() - begun - healthy_s

    begun = time.perf_counter()
    with ThreadPoolExecutor(20) as threads:
        seconds = np.array(list(threads.map(ask, range(200))))
    total_s = time.perf_counter() - begun
    healthy_s, answered_s = np.percentile(seconds, 95, axis=0)
    print(f"{200 / total_s:.1f}/s, 95 %: {answered_s:.2f} s, of /healthz: {healthy_s:.2f} s")
    assert answered_s < 30


def megabytes(count):
    """Yield a body, which goes in chunks without its length."""
    for _ in range(count):
        yield bytes(10**6)


def test_malformed_huge_slow_and_canceled_uploads_lose_nothing(service, recordings_dir):
    front, clip = psutil.Process(service.process.pid), (recordings_dir / "long.flac").read_bytes()
    replicas = replica_processes(service.port)
    assert len(replicas) == 1
    expected = service.classify(clip)
    before, highest, is_over = front.memory_info().rss, 0, threading.Event()

    def watch():
        nonlocal highest
        while not is_over.wait(0.02):
            highest = max(highest, front.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(10) as threads:
        huge = list(threads.map(lambda _: service.classify(megabytes(300))[0], range(10)))
    assert set(huge) <= {413, 503}
    assert service.classify(megabytes(300))[1]["error"]["code"] == "too_large"
    for body in (b"no audio", clip[: len(clip) // 2], clip[1000:]):
        status, answer = service.classify(body)
        assert (status, answer["error"]["code"]) == (422, "not_audio")
    head = b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(clip)
    place = ("127.0.0.1", service.port)
    for number in range(40):  # cut off while it is received, or while it is heard
        with socket.create_connection(place) as connection:
            connection.sendall(head + (clip if number % 2 else clip[:1000]))
            time.sleep(0.02)
    with socket.create_connection(place, timeout=60) as connection:
        connection.sendall(head)
        while not select.select([connection], [], [], 0.5)[0]:
            connection.sendall(b"x")
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")
    is_over.set()
    watcher.join()
    print(f"memory: {before / 1e6:.0f} MB, at most {highest / 1e6:.0f} MB")
    assert highest - before < 8 * 20e6 + 150e6, "room for eight of the largest uploads"
    assert service.classify(clip) == expected
    assert replica_processes(service.port) == replicas
    assert service.counter("freqquest_upload_bytes") == {"freqquest_upload_bytes": 0}
    assert service.counter("freqquest_requests_in") == {"freqquest_requests_in_progress": 1}


def replica_processes(port):
    """Return the processes of the replicas of a service."""
    return {
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if f"ray::ServeReplica:freqquest-{port}-" in " ".join(process.info["cmdline"] or ())
    }


def test_a_lost_replica_is_replaced_and_requests_get_json_errors_until_then(
    service, recordings_dir
):
    clip = (recordings_dir / "short.wav").read_bytes()
    (pid,) = replica_processes(service.port)
    os.kill(pid, signal.SIGKILL)
    statuses, deadline = Counter(), time.monotonic() + 120
    while statuses[200] < 3 and time.monotonic() < deadline:
        status, answer = service.classify(clip)
        statuses[status] += 1
        assert status in (200, 408, 503), answer
    assert statuses[200] == 3
    assert service.get("/healthz")[0] == 200
    assert replica_processes(service.port) != {pid}


def test_https_with_a_token_and_a_ctrl_c_that_leaves_no_process(
    tmp_path, model_file, recordings_dir
):
    (tmp_path / "token").write_text(TOKEN + "\n")
    (tmp_path / "token").chmod(0o600)
    certificate, key = make_certificate(tmp_path / "files")
    arguments = ["--model", model_file, "--host", "0.0.0.0", "--token-file", tmp_path / "token"]
    arguments += ["--certificate", certificate, "--key", key]
    trusting = ssl.create_default_context(cafile=certificate)
    trusting.check_hostname = False
    with serving("", *arguments, token=TOKEN, context=trusting) as service:
        assert service.address.startswith("https://")
        assert service.get("/healthz")[0] == 200
        assert service.classify((recordings_dir / "short.wav").read_bytes())[0] == 200
        service.token = "wrong"
        assert service.classify(b"x")[0] == 401
        assert service.get("/model")[0] == 401
        family = psutil.Process(service.process.pid).children(recursive=True)
        assert len(family) > 3
        service.process.send_signal(signal.SIGINT)
        out, errors = service.process.communicate(timeout=60)
        assert (service.process.returncode, out) == (0, "the service has ended\n")
        assert errors == "starting (up to half a minute)\n"
        psutil.wait_procs(family, timeout=20)
        assert not [process for process in family if process.is_running()]
