"""A classifier, recordings, and requests to the application without a network."""

import asyncio
import json
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import soundfile

from freqquest.cnn.model_file import load_model
from freqquest.cnn.network import predict_probabilities
from freqquest.serving import schemas
from freqquest.serving.answers import Answer, hearing_of
from tests.conftest import RATE_HZ

TOKEN = "a token of tests"


@pytest.fixture(scope="session")
def hearing(model_file):
    """What that classifier hears."""
    return hearing_of(model_file)


@pytest.fixture(scope="session")
def network(model_file):
    """The function of its network."""
    return partial(predict_probabilities, load_model(model_file))


@pytest.fixture(scope="session")
def recording(tmp_path_factory):
    """The file of a recording of 80 s with tones and noise in turn; not to be changed."""
    file = tmp_path_factory.mktemp("recordings") / "long.flac"
    time = np.arange(80 * RATE_HZ) / RATE_HZ
    sound = 0.003 * np.random.default_rng(0).standard_normal(len(time))
    for start in range(3, 80, 11):
        inside = (time >= start) & (time < start + 5)
        sound[inside] += 0.3 * np.sin(2 * np.pi * 50 * start * time[inside])
    soundfile.write(file, sound, RATE_HZ)
    return file


MODEL = schemas.Model(
    classes=["a", "b"],
    background_label=None,
    window_s=4.0,
    sample_rate_hz=RATE_HZ,
    several_labels=False,
    max_bytes=1000,
    time_limit_s=5.0,
    version="1",
)


@dataclass
class FakeService:
    """Replicas that tell the length of a file, and remember their requests."""

    error: Exception | None = None
    takes_s: float = 0.0
    is_up: bool = True
    num_cancelled: int = 0

    async def answer(self, body: bytes, with_spectrogram: bool) -> Answer:
        try:
            await asyncio.sleep(self.takes_s)
        except asyncio.CancelledError:
            self.num_cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        content = json.dumps({"length": len(body), "spectrogram": with_spectrogram})
        return Answer(content=content.encode(), duration_s=2.5, num_windows=3)

    async def is_healthy(self) -> bool:
        return self.is_up


@dataclass
class Reply:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json["error"]


def send(app, method, path, chunks=(), end="done", messages=None, **headers):
    """Send a request to an application, and return the reply.

    Args:
        app: The application.
        method: Method.
        path: Path, perhaps with a query.
        chunks: Parts of the body.
        end: What follows: `done`, `gone` (the client disconnects) or `silence`.
        messages: ASGI messages instead.
        **headers: Headers, with underscores instead of dashes.
    """
    return asyncio.run(_send(app, method, path, messages or _messages(chunks, end), headers))


def _messages(chunks, end):
    for chunk in chunks:
        yield {"type": "http.request", "body": chunk, "more_body": True}
    if end == "gone":
        yield {"type": "http.disconnect"}
    elif end == "done":
        yield {"type": "http.request", "body": b"", "more_body": False}


async def _send(app, method, path, messages, headers):
    sent = []

    async def receive():
        for message in messages:
            return message
        return await asyncio.Event().wait()

    async def keep(message):
        sent.append(message)

    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "root_path": "",
        "headers": [
            (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
        ],
    }
    await asyncio.wait_for(app(scope, receive, keep), 60)
    start, *parts = sent
    return Reply(
        status=start["status"],
        headers={name.decode(): value.decode() for name, value in start["headers"]},
        body=b"".join(part.get("body", b"") for part in parts),
    )
