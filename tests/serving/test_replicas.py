import asyncio
import io
import json
import time
import zipfile
from types import SimpleNamespace

import pytest
from ray import serve
from ray.exceptions import ActorDiedError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from freqquest.cnn.model_file import add_card, read_card
from freqquest.errors import UserError
from freqquest.serving.answers import Upload, answer, hearing_of
from freqquest.serving.config import ServeConfig
from freqquest.serving.errors import RequestError
from freqquest.serving.replicas import Replicas
from freqquest.storage import locate


class FakeHandle:
    """A handle of a deployment whose requests end in one way."""

    def __init__(self, result):
        self.answer = self
        self._result = result
        self.is_canceled = False

    def remote(self, body, with_spectrogram):
        return self

    def __await__(self):
        if self._result is None:
            yield from asyncio.sleep(100).__await__()
        if isinstance(self._result, Exception):
            raise self._result
        return self._result

    def cancel(self):
        self.is_canceled = True


@pytest.mark.parametrize(
    ("result", "status", "text"),
    [
        (BackPressureError(1, 1), 503, "128 requests wait for a replica: try again"),
        (ActorDiedError(), 503, "the replica was lost, and starts again: try again"),
        (DeploymentUnavailableError(None), 503, "the replica was lost"),
        ("truncated: 5 bytes", 422, "truncated: 5 bytes: send the bytes of a whole"),
    ],
)
def test_failures_of_replicas_become_errors_of_requests(result, status, text):
    replicas = Replicas(_name="a", _handle=FakeHandle(result))
    with pytest.raises(RequestError, match=text) as error:
        asyncio.run(replicas.answer(b"x", False))
    assert error.value.status == status


def test_a_request_that_nobody_waits_for_is_canceled_in_its_replica():
    handle = FakeHandle(None)

    async def go_away():
        async with asyncio.timeout(0.05):
            await Replicas(_name="a", _handle=handle).answer(b"x", False)

    with pytest.raises(TimeoutError):
        asyncio.run(go_away())
    assert handle.is_canceled


@pytest.mark.parametrize("status", [lambda: time.sleep(0.5), lambda: 1 / 0])
def test_the_health_is_checked_once_at_a_time_and_bad_without_an_answer(monkeypatch, status):
    num_checks = 0

    def check():
        nonlocal num_checks
        num_checks += 1
        return status()

    monkeypatch.setattr("freqquest.serving.replicas.serve.status", check)
    monkeypatch.setattr("freqquest.serving.replicas._HEALTH_TIMEOUT_S", 0.1)

    async def ask():
        replicas = Replicas(_name="a", _handle=None)
        begun = time.monotonic()
        answers = await asyncio.gather(*[replicas.is_healthy() for _ in range(20)])
        return answers, time.monotonic() - begun

    answers, seconds = asyncio.run(ask())
    assert answers == [False] * 20
    assert num_checks == 1
    assert seconds < 0.4


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, OSError])
def test_a_start_that_is_interrupted_leaves_no_replica(monkeypatch, hearing, model_file, error):
    def interrupt(*_, **__):
        raise error

    deleted = []
    fake = SimpleNamespace(
        start=lambda **_: None, run=interrupt, delete=deleted.append, deployment=serve.deployment
    )
    monkeypatch.setattr("freqquest.serving.replicas.serve", fake)
    with pytest.raises(error):
        Replicas.start(ServeConfig(model=str(model_file)), hearing, "a")
    assert deleted == ["a"]


def test_replicas_answer_with_the_model_in_its_file(
    local_ray, model_file, hearing, network, recording
):
    config = ServeConfig(model=str(model_file))
    replicas = Replicas.start(config, hearing, "freqquest-test")
    content = recording.read_bytes()

    async def ask():
        assert await replicas.is_healthy()
        unreadable = replicas.answer(b"no audio", False)
        files = [replicas.answer(content, True) for _ in range(3)]
        return await asyncio.gather(unreadable, *files, return_exceptions=True)

    error, *answers = asyncio.run(ask())
    assert isinstance(error, RequestError)
    here = answer(Upload(content, 60), hearing, network, with_spectrogram=True)
    for each in answers:
        assert (each.duration_s, each.num_windows) == (here.duration_s, here.num_windows)
        there, expected = json.loads(each.content), json.loads(here.content)
        assert there["spectrogram"] == expected["spectrogram"]
        assert there["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)
    replicas.stop()
    assert not asyncio.run(replicas.is_healthy())


@pytest.mark.slow
def test_a_model_that_keras_does_not_load_is_refused_in_one_line(local_ray, model_file, tmp_path):
    file = locate(tmp_path / "broken.keras")
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    file.write_bytes(add_card(empty.getvalue(), read_card(model_file)))
    with pytest.raises(
        UserError, match=r"`model=.*` does not start: .* cannot be loaded \("
    ) as refused:
        Replicas.start(ServeConfig(model=str(file)), hearing_of(file), "freqquest-broken")
    assert "\n" not in str(refused.value)
