"""The page of a running service: the browser sends sounds to the real application and model."""

import numpy as np
import pytest
import soundfile

from freqquest.storage import locate
from tests.browser import needs_chromium, visit
from tests.cnn.conftest import CLASSES, write_classifier
from tests.conftest import RATE_HZ
from tests.integration.test_serve import TOKEN, serving
from tests.serving.web_page import choose, download, drop, wait_for_answer


@pytest.fixture(scope="module")
def service(tmp_path_factory, local_ray):
    folder = tmp_path_factory.mktemp("page")
    file = write_classifier(
        locate(folder / "best_model.keras"), CLASSES, thresholds=[0.5, 0.4, 0.3]
    )
    (folder / "token").write_text(TOKEN)
    with serving(
        local_ray,
        "--model",
        file,
        "--token-file",
        folder / "token",
        "--max-size-mb",
        1,
        token=TOKEN,
    ) as running:
        yield running


@pytest.mark.slow
@needs_chromium
def test_a_dropped_sound_and_a_recording_are_answered_by_the_service(service, tmp_path):
    moments = np.arange(20 * RATE_HZ) / RATE_HZ
    sound = 0.003 * np.random.default_rng(0).standard_normal(len(moments))
    sound[(moments >= 5) & (moments < 10)] += (
        0.3 * np.sin(2 * np.pi * 300 * moments)[(moments >= 5) & (moments < 10)]
    )
    soundfile.write(tmp_path / "tone.flac", sound, RATE_HZ)
    status, expected = service.classify((tmp_path / "tone.flac").read_bytes())
    assert (status, bool(expected["events"])) == (200, True)
    with visit(service.address) as visited:
        page = visited.page
        page.get_by_label("Token", exact=True).fill(TOKEN)
        page.keyboard.press("Enter")
        page.locator("#drop").wait_for()
        drop(page, tmp_path / "tone.flac", 300, 150)
        wait_for_answer(page, "tone.flac")
        assert page.get_by_alt_text("Spectrogram of tone.flac").evaluate("i => i.naturalWidth") > 9
        rows = download(page, "CSV")[1].splitlines()[1:]
        assert [row.split(",")[2] for row in rows] == [e["label"] for e in expected["events"]]
        page.get_by_role("button", name="Record").click()
        page.get_by_role("timer").get_by_text("0:02").wait_for()
        page.get_by_role("button", name="Stop and send").click()
        page.get_by_role("heading", name="recording").wait_for()
        page.locator(".sound").first.locator(".heard").wait_for()
        (tmp_path / "text.wav").write_text("no sound")
        choose(page, tmp_path / "text.wav")
        page.get_by_role("alert").get_by_text("not readable as audio").wait_for()
        (tmp_path / "huge.wav").write_bytes(bytes(1_100_000))
        choose(page, tmp_path / "huge.wav")
        page.get_by_role("alert").get_by_text("The file has 1.1 MB").wait_for()
    assert all("401" in error or "422" in error for error in visited.errors), visited.errors
    assert visited.hosts() == {service.address.partition("://")[2]}
