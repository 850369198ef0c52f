import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from freqquest.cnn.search.event_file import EventFile

PICTURE = np.random.default_rng(0).integers(0, 255, (4, 6, 3), np.uint8)
WAVEFORM = np.linspace(-1, 1, 50, dtype=np.float32)
SETTINGS = {"mixup": 0.5, "network": "plain", "time_shift": True, "num_filters": 8}

WRITE_BY_TENSORFLOW = """
import sys

import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from tests.cnn.search.test_event_file import PICTURE, SETTINGS, WAVEFORM

writer = tf.summary.create_file_writer(sys.argv[1])
with writer.as_default(step=0):
    tf.summary.text("config", "**a**")
    hparams.hparams(SETTINGS, trial_id="trial")
with writer.as_default(step=1):
    tf.summary.scalar("train/loss", 0.25)
with writer.as_default(step=2):
    tf.summary.image("validation/mistakes", PICTURE[None])
    tf.summary.audio("mistakes/1", WAVEFORM[None, :, None], 8000)
writer.close()
"""


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """Folder of TensorFlow's entries, written where no other test has loaded TensorBoard."""
    folder = tmp_path_factory.mktemp("theirs")
    subprocess.run([sys.executable, "-c", WRITE_BY_TENSORFLOW, str(folder)], check=True)
    return folder


def values_in(folder):
    """Return the steps and values of the only event file, in its order."""
    (file,) = folder.glob("events*")
    return [
        (event.step, value)
        for event in EventFileLoader(str(file)).Load()
        for value in event.summary.value
    ]


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_the_entries_are_those_that_tensorflow_writes(theirs, tmp_path, backend, monkeypatch):
    monkeypatch.setattr("keras.config.backend", lambda: backend)
    ours = tmp_path / "ours"
    ours.mkdir()
    events = EventFile(ours)
    events.add_text("config", "**a**", 0)
    events.add_hparams(SETTINGS, "trial")
    events.add_scalar("train/loss", 0.25, 1)
    events.add_image("validation/mistakes", PICTURE, 2)
    events.add_audio("mistakes/1", WAVEFORM, 8000, 2)
    events.flush()
    assert len(values_in(ours)) == 5  # visible before the file is closed
    events.close()
    pairs = zip(values_in(ours), values_in(theirs), strict=True)
    for (step, value), (their_step, their_value) in pairs:
        assert (step, value.tag) == (their_step, their_value.tag)
        plugin, their_plugin = value.metadata.plugin_data, their_value.metadata.plugin_data
        assert plugin.plugin_name == their_plugin.plugin_name
        if plugin.plugin_name == "hparams":
            assert value.tag == "_hparams_/session_start_info"
            continue  # it holds the time
        assert plugin.content == their_plugin.content
        tensor, their_tensor = tf.make_ndarray(value.tensor), tf.make_ndarray(their_value.tensor)
        assert (tensor.shape, tensor.dtype) == (their_tensor.shape, their_tensor.dtype)
        if plugin.plugin_name == "images":
            assert tensor[:2].tolist() == their_tensor[:2].tolist()
            tensor, their_tensor = (tf.io.decode_png(each[2], 3) for each in (tensor, their_tensor))
        if plugin.plugin_name == "audio":
            tensor, their_tensor = (
                tf.audio.decode_wav(each[0]).audio for each in (tensor, their_tensor)
            )
            np.testing.assert_allclose(tensor, their_tensor, atol=2**-15)
        else:
            assert np.array_equal(tensor, their_tensor)
