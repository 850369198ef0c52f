import base64
import io

import pytest
import soundfile

from freqquest.runs.inline_files import inline_files
from freqquest.storage import locate
from tests.conftest import tone

PAGE = (
    '<audio src="files/a.mp3"></audio><audio src="files/b.mp3"></audio>'
    '<img src="figures/a%20b.png"><img src="missing.png"><img src="data:image/png;base64,AA==">'
)
MADE = {"files/a.mp3": b"a" * 3000, "files/b.mp3": b"b" * 3000, "files/unused.mp3": b"c"}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a b.png").write_bytes(b"picture")
    return locate(tmp_path)


def address(kind, content):
    return f'src="data:{kind};base64,{base64.b64encode(content).decode()}"'


def test_all_files_that_exist_are_within_the_page(folder):
    page, linked = inline_files(PAGE, MADE, folder, limit_bytes=20_000)
    assert linked == {}
    assert address("audio/mpeg", b"a" * 3000) in page
    assert address("audio/mpeg", b"b" * 3000) in page
    assert address("image/png", b"picture") in page
    assert 'src="missing.png"' in page
    assert 'src="data:image/png;base64,AA=="' in page


def test_a_page_has_pictures_first_and_links_what_exceeds_its_limit(folder):
    limit_bytes = len(PAGE) + 4200
    page, linked = inline_files(PAGE, MADE, folder, limit_bytes)
    assert len(page) <= limit_bytes
    assert linked == {"files/b.mp3": b"b" * 3000}
    assert 'src="files/b.mp3"' in page
    assert address("image/png", b"picture") in page


def test_a_page_that_is_too_large_by_itself_links_everything(folder):
    page, linked = inline_files(PAGE, MADE, folder, limit_bytes=0)
    assert page == PAGE
    assert linked.keys() == {"files/a.mp3", "files/b.mp3"}


def test_wav_files_of_the_folder_are_compressed(folder):
    buffer = io.BytesIO()
    soundfile.write(buffer, tone(440.0), 22_050, format="WAV")
    (folder / "a.wav").write_bytes(buffer.getvalue())
    page, _ = inline_files('<audio src="a.wav">', {}, folder, limit_bytes=100_000)
    content = base64.b64decode(page.split("base64,")[1].split('"')[0])
    assert soundfile.info(io.BytesIO(content)).format == "MP3"


def test_a_broken_wav_file_stays_a_link(folder):
    (folder / "a.wav").write_bytes(b"RIFF....WAVEfmt")
    page = '<audio src="a.wav">'
    assert inline_files(page, {}, folder, limit_bytes=100_000) == (page, {})
