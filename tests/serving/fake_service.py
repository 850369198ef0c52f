"""A service that answers the page as freqquest's does, without a model."""

import base64
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

import freqquest
from freqquest import plots
from freqquest.audio.decode import duration_s

PAGE = Path(freqquest.__file__).parent / "serving" / "page.html"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page needs, and no more."""

CLASSES = ["dog_bark", "drilling", "engine", "siren", "street_music"]
EVENTS = [
    {"start_s": 0.5, "end_s": 1.25, "label": "dog_bark", "confidence": 0.91},
    {"start_s": 1.5, "end_s": 2.0, "label": "siren", "confidence": 0.6},
]


@dataclass
class FakeService:
    """Settings of the service, and what it was sent."""

    address: str = ""
    token: str = ""
    classes: list[str] = field(default_factory=lambda: list(CLASSES))
    several_labels: bool = False
    background_label: str | None = None
    max_bytes: int = 20_000_000
    label: str = "dog_bark"
    events: list[dict] = field(default_factory=lambda: list(EVENTS))
    starts_s: list[float] = field(default_factory=list)
    """Starts of the windows; by default, each half a second."""
    error: tuple[int, bytes] | None = None
    """Status and body of the answer to sounds, if it is to be an error."""
    is_free: threading.Event = field(default_factory=threading.Event)
    """Answers wait for it."""
    sounds: list[bytes] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)

    def model(self) -> dict:
        return {
            "classes": self.classes,
            "background_label": self.background_label,
            "window_s": 1.0,
            "sample_rate_hz": 22_050,
            "several_labels": self.several_labels,
            "max_bytes": self.max_bytes,
            "time_limit_s": 60,
            "version": "1.2.3",
        }

    def answer(self, sound: bytes) -> dict:
        length_s = duration_s(io.BytesIO(sound))
        starts_s = self.starts_s or np.arange(0, max(length_s - 0.5, 0.5), 0.5).tolist()
        peaks = np.resize([0.95, 0.7, 0.2], len(starts_s))
        return {
            "duration_s": length_s,
            "label": self.label,
            "probability": 0.93,
            "probabilities": self.probabilities(0.93),
            "windows": [
                {
                    "start_s": start_s,
                    "end_s": min(start_s + 1, length_s),
                    "probabilities": self.probabilities(peak),
                }
                for start_s, peak in zip(starts_s, peaks, strict=True)
            ],
            "events": self.events,
            "spectrogram": {
                "png": base64.b64encode(plots.png(picture(length_s))).decode(),
                "min_frequency_hz": 0,
                "max_frequency_hz": 11_025,
                "mel": True,
            },
        }

    def probabilities(self, first: float) -> dict[str, float]:
        others = np.geomspace(1, 0.01, len(self.classes) - 1)
        others *= (1 - first) / others.sum()
        return dict(zip(self.classes, [float(first), *others.tolist()], strict=True))


def picture(length_s: float) -> np.ndarray:
    frames = np.arange(int(20 * length_s) + 1)
    bands = np.arange(64)[:, None]
    return plots.spectrogram_image(-np.abs(bands - 32 - 20 * np.sin(frames / 9)) * 2.0 - bands / 4)


@contextmanager
def fake_service(**settings: object) -> Iterator[FakeService]:
    """Run a service in a thread."""
    service = FakeService(**settings)  # type: ignore[arg-type]
    service.is_free.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            file = PAGE if self.path == "/" else PAGE.parent / self.path[1:]
            if self.path == "/model":
                self.answer_allowed(lambda: service.model())
            elif file.is_file() and file.suffix in TYPES:
                self.send(200, file.read_bytes(), TYPES[file.suffix])
            else:
                self.send(404, b"{}")

        def do_POST(self) -> None:
            sound = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/classify?spectrogram=true"
            service.sounds.append(sound)
            service.is_free.wait(30)
            if service.error:
                self.send(*service.error)
            else:
                self.answer_allowed(lambda: service.answer(sound))

        def answer_allowed(self, answer) -> None:
            sent = self.headers.get("Authorization")
            service.tokens.append(sent)
            if service.token and sent != f"Bearer {service.token}":
                self.send(401, json.dumps({"error": {"message": "the token is wrong"}}).encode())
            else:
                self.send(200, json.dumps(answer()).encode())

        def send(self, status: int, body: bytes, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", POLICY)
            self.end_headers()
            with suppress(ConnectionError):  # canceled on the page
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        service.address = f"http://127.0.0.1:{server.server_port}"
        yield service
        service.is_free.set()
        server.shutdown()
