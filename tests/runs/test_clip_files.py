import io

import matplotlib.image
import numpy as np
import soundfile

from freqquest.runs.clip_files import encode_clip, read_clips, write_clips
from freqquest.storage import locate
from tests.conftest import tone


def test_clips_are_read_as_they_were_written(tmp_path):
    rows = [
        {"row": 3, **encode_clip(tone(440.0), 22_050, np.eye(128, 173))},
        {"row": 5, **encode_clip(None, 22_050, None)},
    ]
    file = locate(tmp_path / "clips.parquet")
    write_clips(rows, file)
    assert read_clips(file) == rows
    assert rows[1]["sound"] is rows[1]["picture"] is None


def test_a_run_of_an_older_version_has_no_clips(tmp_path):
    assert read_clips(locate(tmp_path / "clips.parquet")) == []


def picture_of(cells):
    return matplotlib.image.imread(io.BytesIO(cells["picture"]), format="webp")[..., :3]


def test_a_clip_has_its_sound_and_its_spectrogram_with_low_bands_below():
    spectrogram = np.zeros((128, 173), np.float16)
    spectrogram[:32] = 1  # low bands
    cells = encode_clip(tone(440.0), 22_050, spectrogram)
    assert soundfile.info(io.BytesIO(cells["sound"])).duration >= 4
    picture = picture_of(cells)
    assert picture.shape == (128, 173, 3)
    assert picture[110].mean() > 150 > 50 > picture[20].mean()


def test_the_picture_of_a_long_clip_is_no_larger_than_the_page_needs():
    spectrogram = np.zeros((256, 5000), np.float32)
    spectrogram[:, 2500:] = 1
    picture = picture_of(encode_clip(None, 22_050, spectrogram))
    assert picture.shape == (128, 320, 3)
    assert picture[:, 170:].mean() > 150 > 50 > picture[:, :150].mean()
