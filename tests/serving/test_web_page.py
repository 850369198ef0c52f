"""Sounds on their way to the service, on its page in a browser. A fake service answers."""

import io
import re

import numpy as np
import pytest

from freqquest.audio.clip import ClipConfig
from freqquest.audio.decode import load_clip
from tests.browser import needs_chromium, visit
from tests.serving.fake_service import fake_service
from tests.serving.web_page import (
    card,
    choose,
    drop,
    player_time_s,
    sound,
    wait_for_answer,
    wav,
)

pytestmark = [pytest.mark.slow, needs_chromium]

TOKEN = "token-of-the-tests"

OUTLINE = "getComputedStyle(document.activeElement).outlineStyle === 'solid'"
FOCUSED = "(e => e.ariaLabel || e.innerText)(document.activeElement)"


@pytest.fixture
def service():
    with fake_service() as service:
        yield service


@pytest.mark.parametrize("place", [(300, 150), (5, 700)], ids=["in the frame", "beside it"])
def test_a_dropped_sound_is_answered(service, tmp_path, place):
    (tmp_path / "dog.wav").write_bytes(wav())
    with visit(service.address) as visited:
        page = visited.page
        page.locator("#drop").wait_for()
        drop(page, tmp_path / "dog.wav", *place)
        wait_for_answer(page)
        assert page.title() == ("Listens for dog_bark, drilling, engine, siren, and street_music")
        assert page.locator(".answer").inner_text() == "dog_bark with an average probability of 93%"
        assert page.locator(".facts").inner_text() == ("3.0 s long; 2 events: dog_bark, siren")
        assert page.locator(".bars").first.inner_text().replace("\n", " ") == (
            "dog_bark 93% drilling 6% engine 1% siren <1% street_music <1%"
        )
        assert page.get_by_alt_text("Spectrogram of dog.wav").evaluate("i => i.naturalWidth") == 61
        assert page.locator("#announcer").inner_text() == "dog.wav: dog_bark, 93%"
    assert service.sounds == [wav()]
    assert not visited.errors
    assert visited.hosts() == {service.address.removeprefix("http://")}


def test_the_token_is_asked_for_kept_in_this_tab_and_forgotten(service):
    service.token = TOKEN
    with visit(service.address) as visited:
        page = visited.page
        page.get_by_label("Token", exact=True).fill("another")
        assert "asks for a token" in page.get_by_role("alert").inner_text()
        page.get_by_role("button", name="Use this token").click()
        page.get_by_text("refused this token").wait_for()
        page.get_by_label("Token", exact=True).fill(TOKEN)
        page.keyboard.press("Enter")
        page.locator("#files:focus").wait_for()
        choose(page, sound())
        wait_for_answer(page)
        page.reload()
        page.locator("#drop").wait_for()
        assert page.url == f"{service.address}/"
        assert page.evaluate("localStorage.length + document.cookie.length") == 0
        page.get_by_role("button", name="Forget the token").click()
        page.get_by_role("alert").get_by_text("asks for a token").wait_for()
        page.reload()
        page.get_by_role("alert").get_by_text("asks for a token").wait_for()
    sent = [token and token.removeprefix("Bearer ") for token in service.tokens]
    assert sent == [None, "another", TOKEN, TOKEN, TOKEN, None, None]
    assert all("401" in error for error in visited.errors)


def test_a_sound_waits_while_a_token_is_asked_for(service):
    with visit(service.address) as visited:
        page = visited.page
        page.locator("#drop").wait_for()
        service.token = TOKEN
        choose(page, sound())
        page.get_by_label("Token", exact=True).fill(TOKEN)
        assert page.locator(".outcome").inner_text() == "waiting"
        page.keyboard.press("Enter")
        wait_for_answer(page)


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ((415, b'{"error": {"code": "no_audio", "message": "no sound in it"}}'), "no sound in it"),
        ((502, b"<h1>Bad Gateway</h1>"), "The service answered 502 without a reason."),
    ],
)
def test_errors_of_the_service_are_shown_and_it_can_be_asked_again(service, error, shown):
    service.error = error
    with visit(service.address) as visited:
        page = visited.page
        choose(page, sound())
        page.get_by_role("alert").get_by_text(shown).wait_for()
        service.error = None
        page.get_by_role("button", name="Try again").click()
        wait_for_answer(page)
        assert page.get_by_role("alert").count() == 0


def test_a_broken_connection_has_its_own_sentence(service):
    with visit(service.address) as visited:
        page = visited.page
        page.route("**/classify*", lambda route: route.abort())
        choose(page, sound())
        page.get_by_role("alert").get_by_text("No answer from the service").wait_for()
        page.route("**/model", lambda route: route.abort())
        page.reload()
        page.get_by_role("alert").get_by_text("No answer from the service").wait_for()
        page.unroute("**/model")
        page.get_by_role("button", name="Try again").click()
        page.locator("#drop").wait_for()


def test_a_file_above_the_limit_is_not_sent(service):
    service.max_bytes = 100_000
    with visit(service.address) as visited:
        page = visited.page
        choose(page, sound())
        problem = page.get_by_role("alert")
        problem.wait_for()
        assert problem.inner_text().startswith(
            "The file has 0.1 MB, but the service takes up to 0.1 MB: send a part of it"
        )
    assert not service.sounds


def test_a_file_that_the_browser_cannot_read_is_told_from_a_broken_connection(service, tmp_path):
    (tmp_path / "folder").mkdir()
    with visit(service.address) as visited:
        visited.page.locator("#drop").wait_for()
        drop(visited.page, tmp_path / "folder", 300, 150)
        visited.page.get_by_role("alert").get_by_text("it is a folder").wait_for()
    assert not service.sounds


def test_sounds_are_heard_one_after_another_and_each_can_be_canceled(service):
    service.is_free.clear()
    with visit(service.address) as visited:
        page = visited.page
        choose(page, *(sound(f"{number}.wav") for number in range(4)))
        card(page, "0.wav").get_by_text("listening").wait_for()
        for name in ("1.wav", "2.wav", "3.wav"):
            assert card(page, name).locator(".outcome").inner_text() == "waiting"
        card(page, "2.wav").get_by_role("button", name="Cancel").click()
        card(page, "0.wav").get_by_role("button", name="Cancel").click()
        for name in ("0.wav", "2.wav"):
            assert card(page, name).get_by_role("alert").inner_text() == "Canceled."
        assert page.evaluate("document.activeElement.textContent") == "Try again"
        service.is_free.set()
        wait_for_answer(page, "1.wav")
        card(page, "3.wav").get_by_text("dog_bark, 93%").wait_for()
        assert page.locator("h2").all_inner_texts() == ["0.wav", "1.wav", "2.wav", "3.wav"]
        assert page.locator("audio[src]").count() == 1
        card(page, "2.wav").get_by_role("button", name="Try again").click()
        card(page, "2.wav").get_by_text("dog_bark, 93%").wait_for()
    assert len(service.sounds) == 4


def test_a_recording_is_sent_heard_and_played(service):
    service.events = [{"start_s": 0.5, "end_s": 0.8, "label": "siren", "confidence": 0.6}]
    with visit(service.address) as visited:
        page = visited.page
        page.get_by_role("button", name="Record").press("Enter")
        page.get_by_role("button", name="Stop and send").wait_for()
        page.get_by_role("timer").get_by_text("0:02").wait_for()
        levels = []
        while len(levels) < 15:
            levels.append(page.get_by_label("Level in dB").evaluate("meter => meter.value"))
            page.wait_for_timeout(100)
        assert max(levels) > -40 > min(levels)  # Chromium's microphone beeps
        page.keyboard.press("Enter")  # the button has kept the focus
        page.locator(".heard").wait_for()
        assert page.get_by_role("button", name="Record").is_visible()
        name = page.locator("h2").inner_text()
        assert re.fullmatch(r"recording \d\d-\d\d-\d\d\.webm", name)
        assert page.get_by_role("link", name="Save the recording").get_attribute("download") == name
        page.locator(".event").click()
        player = page.locator("audio")
        player.evaluate("player => new Promise(done => { player.onpause = done; })")
        assert player_time_s(page) == pytest.approx(0.8, abs=0.15)
        assert 3 < player.evaluate("player => player.duration") < 30
    (recording,) = service.sounds
    clip = load_clip(io.BytesIO(recording), ClipConfig(duration_s=3.0))
    assert clip.duration_s > 3
    assert np.abs(clip.waveform).max() > 0.01
    assert not visited.errors


def test_pages_without_the_microphone_say_why(service):
    with visit(service.address.replace("127.0.0.1", "0.0.0.0")) as visited:
        assert visited.page.get_by_role("button", name="Record").is_disabled()
        assert "needs HTTPS or localhost" in visited.page.locator("#microphone").inner_text()
    with visit(service.address) as visited:
        visited.page.evaluate(
            "void (navigator.mediaDevices.getUserMedia = () => "
            "Promise.reject(new DOMException('no', 'NotAllowedError')))"
        )
        visited.page.get_by_role("button", name="Record").click()
        visited.page.get_by_text("may not use the microphone").wait_for()
        assert visited.page.get_by_role("button", name="Record").is_enabled()


def test_the_keyboard_reaches_all_of_it(service):
    with visit(service.address) as visited:
        page = visited.page
        page.on("filechooser", lambda _: None)  # choosers are caught some time after the first wish
        page.locator("#drop").wait_for()
        page.keyboard.press("Tab")
        assert page.evaluate(OUTLINE.replace("activeElement", "activeElement.parentElement"))
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Space")
        chooser.value.set_files([sound()])
        wait_for_answer(page)
        reached = []
        while "JSON" not in reached:
            page.keyboard.press("Tab")
            reached.append(page.evaluate(FOCUSED))
            assert reached[-1] == "Player of dog.wav" or page.evaluate(OUTLINE), reached
        play = "Play dog_bark, 0:00.5 to 0:01.3, confidence 91%"
        assert {"Record", "Player of dog.wav", "Sound over time", "Events", "CSV"} < set(reached)
        assert reached.count(play) == 2
        page.locator(".event").first.focus()
        page.keyboard.press("Enter")
        page.wait_for_timeout(300)
        assert player_time_s(page) > 0.5


def test_without_scripts_the_page_gives_the_command(service):
    with visit(service.address, java_script_enabled=False) as visited:
        text = visited.page.locator("body").inner_text()
        assert "curl --data-binary @sound.wav" in text
        assert not visited.page.locator("#drop").is_visible()
