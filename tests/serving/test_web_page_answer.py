"""Answers on the page of the service, in a browser. A fake service gives them."""

import json

import pytest

from tests.audio.encode import encode
from tests.audio.encode import sound as tone
from tests.browser import needs_chromium, visit
from tests.serving.fake_service import CLASSES, EVENTS, fake_service
from tests.serving.web_page import (
    card,
    choose,
    download,
    overflow_px,
    player_time_s,
    sound,
    wait_for_answer,
    wav,
)

pytestmark = [pytest.mark.slow, needs_chromium]

HOSTILE = "<img src=x onerror=alert(1)>\"',\t&"
TOKEN = "token-of-the-tests"

CONTRASTS = """selectors => {
  const context = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.background = "Canvas";
  const luminance = colors => {
    for (const color of [getComputedStyle(probe).backgroundColor, ...colors]) {
      context.fillStyle = color;
      context.fillRect(0, 0, 1, 1);
    }
    const [red, green, blue] = [...context.getImageData(0, 0, 1, 1).data].map(value =>
      value < 10.3 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = element => {
    const {color, backgroundColor} = getComputedStyle(element);
    const pair = [luminance([backgroundColor]), luminance([backgroundColor, color])];
    return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
  };
  return [luminance([]), selectors.map(name => contrast(document.querySelector(name)))];
}"""
"""Luminance of the page, and contrasts of texts by WCAG 2."""


@pytest.fixture
def service():
    with fake_service() as service:
        yield service


def test_what_was_heard_stands_over_the_same_time_as_the_picture(service):
    with visit(service.address) as visited:
        page = visited.page
        choose(page, sound())
        wait_for_answer(page)
        picture = page.locator(".picture").bounding_box()
        rows = page.locator(".lanes").get_by_role("group").all_inner_texts()
        assert rows == [
            "dog_bark, up to 95%",
            "drilling, up to 63%",
            "siren, up to 60%",
            "engine, up to 14%",
        ]
        for event, box in zip(EVENTS, page.locator(".event").all(), strict=True):
            place = box.bounding_box()
            start_s = 3.0 * (place["x"] - picture["x"]) / picture["width"]
            assert start_s == pytest.approx(event["start_s"], abs=0.02)
            end_s = start_s + 3.0 * place["width"] / picture["width"]
            assert end_s == pytest.approx(event["end_s"], abs=0.02)
        times = page.locator(".times span")
        at = times.get_by_text("0:02").bounding_box()["x"] - picture["x"]
        assert 3.0 * at / picture["width"] == pytest.approx(2, abs=0.02)
        middle = picture["y"] + picture["height"] / 2
        khz_2 = page.locator(".frequencies").get_by_text("2 kHz").bounding_box()
        # 2 kHz are 25.1 of the 49.9 mel up to 11025 Hz.
        assert khz_2["y"] + khz_2["height"] / 2 == pytest.approx(middle, abs=3)


def test_shades_are_those_of_the_window_whose_middle_is_nearest_and_blank_without_one(service):
    service.starts_s = [0, 0.5, 2]
    with visit(service.address) as visited:
        choose(visited.page, sound())
        wait_for_answer(visited.page)
        opacities = visited.page.locator("canvas").first.evaluate(
            "canvas => [0.3, 0.9, 1.7, 2.5].map(time => canvas.getContext('2d')"
            ".getImageData(canvas.width * time / 3, 0, 1, 1).data[3] / 255)"
        )
    # Windows of 1 s and of the probabilities 0.95, 0.7 and 0.2; an opacity of 6% is 0.
    assert opacities == pytest.approx([0.953, 0.718, 0, 0.248], abs=0.01)


def test_events_play_from_start_to_end_and_the_playhead_follows(service):
    with visit(service.address) as visited:
        page = visited.page
        choose(page, sound())
        wait_for_answer(page)
        page.get_by_role(
            "button", name="Play siren, 0:01.5 to 0:02.0, confidence 60%"
        ).first.click()
        player = page.locator("audio")
        player.evaluate("player => new Promise(done => { player.onpause = done; })")
        assert player_time_s(page) == pytest.approx(2.0, abs=0.15)
        picture = page.locator(".picture").bounding_box()
        playhead = page.locator(".playhead").bounding_box()
        at_s = 3.0 * (playhead["x"] + 1 - picture["x"]) / picture["width"]
        assert at_s == pytest.approx(player_time_s(page), abs=0.02)
        page.locator(".picture").click(position={"x": picture["width"] / 3, "y": 50})
        assert player_time_s(page) == pytest.approx(1.0, abs=0.01)


def test_events_are_downloaded(service):
    service.events = [
        *EVENTS,
        {"start_s": 2, "end_s": 3, "label": HOSTILE, "confidence": 0.5},
        {"start_s": 2, "end_s": 3, "label": "=1+1", "confidence": 0.5},
    ]
    with visit(service.address) as visited:
        page = visited.page
        choose(page, sound("a.b.wav"))
        wait_for_answer(page, "a.b.wav")
        name, csv = download(page, "CSV")
        assert name == "a.b.csv"
        quoted = HOSTILE.replace('"', '""')
        assert csv == (
            "start_s,end_s,label,confidence\n0.5,1.25,dog_bark,0.91\n1.5,2,siren,0.6\n"
            f'2,3,"{quoted}",0.5\n2,3,\'=1+1,0.5\n'
        )
        name, labels = download(page, "Audacity labels")
        assert name == "a.b.txt"
        assert labels.splitlines()[0] == "0.5\t1.25\tdog_bark"
        assert labels.splitlines()[2] == "2\t3\t" + HOSTILE.replace("\t", " ")
        name, text = download(page, "JSON")
        assert name == "a.b.json"
        answer = service.answer(wav())
        del answer["spectrogram"]
        assert json.loads(text) == answer


def test_names_are_shown_as_text(service):
    service.classes = [HOSTILE, "siren"]
    service.label = HOSTILE
    service.events = [{"start_s": 0, "end_s": 1, "label": HOSTILE, "confidence": 1}]
    with visit(service.address) as visited:
        choose(visited.page, sound(f"{HOSTILE}.wav"))
        visited.page.locator(".heard").wait_for()
        shown = HOSTILE.replace("\t", " ")
        assert visited.page.locator(".answer b").inner_text() == shown
        assert visited.page.locator("h2").inner_text() == f"{shown}.wav"
        assert visited.page.locator("img").count() == 1
    assert not visited.errors


def test_a_file_that_the_browser_cannot_play_is_answered(service):
    with visit(service.address) as visited:
        page = visited.page
        choose(page, sound("dog.wma", encode("wma", tone(44_100, 3.0))))
        wait_for_answer(page, "dog.wma")
        page.get_by_text("cannot play the file").wait_for()
        assert page.locator(".answer").inner_text() == "dog_bark with an average probability of 93%"
        assert not page.locator("audio").is_visible()
        assert page.locator(".event").first.is_disabled()
        assert page.locator("td button").first.is_disabled()


def test_controls_and_pictures_have_names_for_screen_readers(service):
    with visit(service.address) as visited:
        page = visited.page
        choose(page, sound())
        wait_for_answer(page)
        service.is_free.clear()
        choose(page, sound("2.wav"))
        page.get_by_role("button", name="Record").click()
        page.get_by_text("listening").wait_for()
        page.get_by_role("timer").wait_for()
        card(page, "dog.wav").locator("summary").first.click()
        tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")
        named = {"button", "image", "progressbar", "meter", "region", "timer"}
        found = [
            (node["role"]["value"], node["name"]["value"])
            for node in tree["nodes"]
            if not node["ignored"] and node["role"]["value"] in named
        ]
        assert {role for role, _ in found} == named
        assert all(name for _, name in found), found
        assert dict(found)["progressbar"].startswith("listening")


@pytest.mark.parametrize("length_s", [3, 90])
def test_a_phone_needs_no_sideways_scrolling(service, length_s):
    long = "a_long_name_without_any_space_that_a_phone_cannot_show_in_a_line"
    service.classes = [long, *CLASSES]
    service.label, service.token = long, TOKEN
    service.events = [{"start_s": 0, "end_s": 1, "label": long, "confidence": 1}, *EVENTS]
    with visit(service.address, width=360, height=740) as visited:
        page = visited.page
        page.get_by_label("Token", exact=True).fill(TOKEN)
        assert overflow_px(page) == 0
        page.keyboard.press("Enter")
        choose(page, sound(f"{long}.wav", wav(length_s)))
        page.locator(".heard").wait_for()
        assert overflow_px(page) == 0
        assert page.locator(".list").evaluate("list => list.scrollWidth - list.clientWidth") == 0
        assert page.locator("audio").bounding_box()["width"] == 328
        service.error = (503, b'{"error": {"message": "%s"}}' % long.encode())
        choose(page, sound())
        page.get_by_role("alert").wait_for()
        page.get_by_role("button", name="Record").click()
        assert overflow_px(page) == 0


def test_a_long_sound_scrolls_with_its_player(service):
    with visit(service.address, width=360) as visited:
        page = visited.page
        choose(page, sound(content=wav(90)))
        wait_for_answer(page)
        scroller = page.locator(".scroller")
        assert scroller.evaluate("scroller => scroller.scrollWidth") == 16 * 90
        page.locator("audio").evaluate("player => { player.currentTime = 60; player.play(); }")
        page.wait_for_timeout(300)
        assert 60 * 16 - 288 < scroller.evaluate("scroller => scroller.scrollLeft") < 61 * 16


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_on_light_and_on_dark(service, scheme):
    with visit(service.address, color_scheme=scheme) as visited:
        page = visited.page
        page.locator("#drop").wait_for()
        service.error = (503, b'{"error": {"message": "busy"}}')
        choose(page, sound())
        page.get_by_role("alert").wait_for()
        texts = ["h1", "#limits", ".drop b", "#record", ".problem", "#version"]
        luminance, contrasts = page.evaluate(CONTRASTS, texts)
        assert min(contrasts) > 4.5, contrasts
        assert luminance < 0.05 if scheme == "dark" else luminance > 0.9


@pytest.mark.parametrize(
    ("label", "settings", "shown"),
    [
        (
            "dog_bark;siren",
            {"several_labels": True},
            "dog_bark with an average probability of 93%, siren with an average probability of <1%",
        ),
        (
            "siren",
            {"background_label": "dog_bark"},
            "None of these sounds: dog_bark with an average probability of 93%",
        ),
    ],
)
def test_answers_of_other_models_are_worded(label, settings, shown):
    with fake_service(label=label, **settings) as service, visit(service.address) as visited:
        choose(visited.page, sound())
        wait_for_answer(visited.page)
        assert visited.page.locator(".answer").inner_text() == shown


def test_many_classes_are_folded(service):
    service.classes = [f"bird_{number}" for number in range(40)]
    service.label, service.events = "bird_0", []
    with visit(service.address) as visited:
        page = visited.page
        choose(page, sound())
        wait_for_answer(page)
        assert page.title() == "Listens for bird_0, bird_1, bird_2, bird_3, bird_4, and 35 more"
        page.get_by_text("All 40 classes").click()
        assert page.get_by_text("bird_38, bird_39").is_visible()
        assert page.locator(".bars li:visible").count() == 5
        page.get_by_text("35 more", exact=True).click()
        assert page.locator(".bars li:visible").count() == 40
        assert page.get_by_text("None: an event must be louder").is_visible()
        assert not page.locator(".downloads").is_visible()


def test_of_very_many_events_the_first_are_listed(service):
    service.events = [EVENTS[0]] * 1_002
    with visit(service.address) as visited:
        page = visited.page
        choose(page, sound())
        wait_for_answer(page)
        assert page.locator("tbody tr").count() == 1_000
        assert page.get_by_text("2 later events are in the downloads.").is_visible()
        assert len(download(page, "CSV")[1].splitlines()) == 1 + 1_002
