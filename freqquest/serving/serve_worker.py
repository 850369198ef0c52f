"""The remote side of the service: a replica that holds the model and hears uploads.

Keras is loaded in the replica only.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from freqquest.audio.unreadable import UnreadableClipError
from freqquest.cnn.devices import Device, prepare
from freqquest.cnn.model_file import load_model
from freqquest.cnn.network import predict_probabilities
from freqquest.serving.answers import Answer, Hearing, Upload, answer
from freqquest.serving.config import REQUESTS_AT_ONCE
from freqquest.serving.sharing import SharedNetwork
from freqquest.storage import Location


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaSettings:
    """Settings of a replica."""

    model_file: Location
    hearing: Hearing
    device: Device
    time_limit_s: float
    max_batch: int


class Replica:
    """A replica of Ray Serve."""

    def __init__(self, settings: ReplicaSettings) -> None:
        prepare(settings.device)
        self._settings = settings
        network = partial(predict_probabilities, load_model(settings.model_file))
        for count in (1, 2):  # Keras compiles it for one window, and then for any number
            network(settings.hearing.analysis.zeros(count))
        self._predict = SharedNetwork(network, settings.max_batch)
        self._threads = ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix="hear")

    async def answer(self, body: bytes, with_spectrogram: bool) -> Answer | str:
        """Return the answer for a file, or the reason why it is not readable as audio.

        Threads compute it, and end soon if the request is canceled.

        Raises:
            TimeoutError: The time limit is over.
        """
        upload = Upload(body, self._settings.time_limit_s)
        hear = partial(
            answer,
            upload,
            self._settings.hearing,
            self._predict,
            with_spectrogram=with_spectrogram,
        )
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, hear)
        except UnreadableClipError as error:
            return str(error)
        except asyncio.CancelledError:
            upload.cancel()
            raise
