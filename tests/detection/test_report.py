"""The page where detected events can be seen and heard."""

import base64
import io
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import soundfile

from freqquest.detection.report import RecordingView, clock, picture, write_report
from freqquest.storage import locate
from tests.browser import needs_chromium, visit
from tests.conftest import RATE_HZ, tone

HOSTILE = "<img src=x onerror=alert(1)>\"'&{{1}}"
EVENTS = [(2.5, 5.0, "dog", 0.9), (4.0, 12.0, "siren", 0.75)]


class Elements(HTMLParser):
    """The elements of a page as (tag, attributes), and its text outside of scripts and styles.

    The text that follows a start tag is there as the attribute `text`.
    """

    def __init__(self, page):
        super().__init__()
        self.all, self.scripts, self._texts, self._open = [], [], [], ""
        self.feed(page)
        self.text = " ".join("".join(self._texts).split())

    def handle_starttag(self, tag, attributes):
        self.all.append((tag, dict(attributes)))
        self._open = tag

    def handle_endtag(self, tag):
        self._open = ""

    def handle_data(self, text):
        if self._open == "script":
            self.scripts.append(text)
        elif self._open != "style":
            self._texts.append(text)
            if self._open:
                self.all[-1][1].setdefault("text", text)

    def find(self, tag, **wanted):
        found = [attributes for name, attributes in self.all if name == tag]
        return [each for each in found if wanted.items() <= each.items()]


@pytest.fixture
def show(tmp_path):
    """Write the page of one recording, or of several, and return its elements."""

    def show(*views, scores="", **values):
        (tmp_path / "out").mkdir(exist_ok=True)
        write_report(
            views or [view(tmp_path, **values)], locate(str(tmp_path / "out/r.html")), scores
        )
        return Elements((tmp_path / "out" / "r.html").read_text())

    return show


def view(folder, path="a/x.wav", events=EVENTS, duration_s=10.0, has_audio=True, num_frames=50):
    columns = ["start_s", "end_s", "label", "confidence"]
    return RecordingView(
        path=path,
        audio=locate(str(folder / "audio" / path)) if has_audio else None,
        duration_s=duration_s,
        spectrogram=np.random.default_rng(0).random((8, num_frames)),
        events=pd.DataFrame(events, columns=columns),
    )


def test_boxes_lie_where_events_are_in_percent_and_end_with_the_recording(show):
    page = show()
    boxes = page.find("a", **{"class": "box"})
    assert [box["style"] for box in boxes] == [
        "left:25.0000%;width:25.0000%",
        "left:40.0000%;width:60.0000%",
    ]
    rows = page.find("div", **{"class": "row"})
    assert [row["style"].split("\n")[0] for row in rows] == [
        "top:0.000%;height:50.000%;",
        "top:50.000%;height:50.000%;",
    ]
    assert len({row["style"].split("--color:")[1] for row in rows}) == 2


def test_each_event_is_a_link_in_the_picture_and_in_the_list_that_works_without_a_script(show):
    page = show(path="day 1/yard #1?.wav")
    source = "../audio/day%201/yard%20%231%3F.wav"
    assert [each["src"] for each in page.find("audio")] == [source]
    assert page.find("audio")[0].keys() >= {"controls"}
    assert page.find("audio")[0]["preload"] == "none"
    links = page.find("a", href=f"{source}#t=2.500")
    assert [link["data-event"] for link in links] == ["0", "0"]
    assert [link["data-start"] for link in links] == ["2.500", "2.500"]
    assert links[0]["aria-label"] == "dog, 0:02.5 to 0:05.0, confidence 0.90"


def test_the_link_of_a_player_leads_to_the_file(show, tmp_path):
    (tmp_path / "audio" / "a").mkdir(parents=True)
    (tmp_path / "audio" / "a" / "x.wav").write_bytes(b"")
    link = show().find("audio")[0]["src"]
    assert (tmp_path / "out" / unquote(link)).resolve() == tmp_path / "audio" / "a" / "x.wav"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"has_audio": False}, "No player: its file is not available."),
        ({"path": "x.AIFF"}, "No player: browsers do not play .aiff files."),
        ({"path": "x.wma"}, "No player: browsers do not play .wma files."),
    ],
)
def test_a_missing_player_is_said_and_events_are_listed_without_links(show, values, reason):
    page = show(**values)
    assert reason in page.text
    assert not page.find("audio")
    assert not [link for link in page.find("a") if "data-event" in link]
    assert len(page.find("span", **{"class": "box"})) == 2
    assert "0:02.5" in page.text


def test_audio_on_other_storage_has_no_player(tmp_path):
    class Remote:
        path, is_local = "bucket/x.wav", False

    remote = view(tmp_path)
    object.__setattr__(remote, "audio", Remote())
    write_report([remote], locate(str(tmp_path / "r.html")))
    page = (tmp_path / "r.html").read_text()
    assert "No player: the recording and this page are not both on local storage." in page


def test_names_of_files_labels_and_scores_are_escaped(show):
    name = HOSTILE + ".wav"
    page = show(path=name, events=[(1.0, 2.0, HOSTILE, 0.5)], scores=HOSTILE)
    assert name in page.text
    assert page.text.count(HOSTILE) >= 4
    images = page.find("img")
    assert [image["alt"] for image in images] == ["spectrogram"]
    assert not [name for _, attributes in page.all for name in attributes if name.startswith("on")]
    assert len(page.scripts) == 1
    assert HOSTILE not in page.scripts[0]


def test_the_page_asks_for_nothing_from_outside(show):
    page = show()
    sources = [
        value
        for tag, attributes in page.all
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "action", "data", "poster") or tag == "link"
    ]
    assert sources
    for source in sources:
        assert source.startswith(("data:image/png;base64,", "../audio/", "#recording-")), source
    styles = " ".join(attributes.get("style", "") for _, attributes in page.all)
    assert "url(" not in styles
    assert not re.search(r"fetch|import|https?:", page.scripts[0])


def test_areas_that_scroll_are_reached_by_keyboard_and_have_names(show):
    areas = [each for _, each in show().all if "scroll" in each.get("class", "").split()]
    assert len(areas) == 2
    for area in areas:
        assert area["tabindex"] == "0"
        assert area["aria-label"].endswith(" of a/x.wav")


def test_recordings_are_listed_with_their_length_and_events_by_class(show, tmp_path):
    silent = view(tmp_path, path="silent.wav", events=[], duration_s=3_600.0)
    page = show(view(tmp_path), silent, scores="F1 0.5")
    assert "2 events in 2 recordings of 1:00:10." in page.text
    assert "dog: 1 siren: 1" in page.text
    assert "1:00:00.0 no events" in page.text
    assert "Scores F1 0.5" in page.text
    assert [link["href"] for link in page.find("a") if link["href"][0] == "#"] == [
        "#recording-1",
        "#recording-2",
    ]
    assert [each["id"] for each in page.find("h2") if "id" in each] == [
        "recording-1",
        "recording-2",
    ]


def test_a_label_has_the_same_color_in_all_recordings(show, tmp_path):
    second = view(tmp_path, path="b.wav", events=[(1.0, 2.0, "siren", 0.5)])
    rows = show(view(tmp_path), second).find("div", **{"class": "row"})
    colors = [row["style"].split("--color:")[1] for row in rows]
    assert colors[1] == colors[2] != colors[0]


def test_of_very_many_events_the_most_confident_are_shown_in_the_order_of_time(show):
    starts_s = np.arange(1_999) / 200
    confidences = np.where(np.arange(1_999) % 2, 1 - starts_s / 20, 0.01)  # 999 are high
    page = show(events=[(s, s + 0.1, "dog", c) for s, c in zip(starts_s, confidences, strict=True)])
    assert "Shown are the 1,000 events of the highest confidence; 999 more" in page.text
    shown = [float(link["data-start"]) for link in page.find("a", **{"class": "box"})]
    assert len(shown) == 1_000
    assert shown == sorted(shown)
    assert set(starts_s[1::2]) <= set(shown)
    assert "dog: 1,999" in page.text


def image_of(page):
    content = base64.b64decode(page.find("img")[0]["src"].partition(",")[2])
    return matplotlib.image.imread(io.BytesIO(content))


@pytest.mark.parametrize("num_frames", [50, 2_000])
def test_a_picture_shows_each_column_of_the_spectrogram(show, tmp_path, num_frames):
    recording = view(tmp_path, num_frames=num_frames)
    recording.spectrogram[:] = 0
    recording.spectrogram[3, num_frames // 2 - 1] = 1  # one loud frame
    image = image_of(show(recording))
    assert image.shape[:2] == (8, num_frames)
    bright = np.argwhere(image[..., :3].sum(axis=2) > 1)
    assert bright[:, 0].tolist() == [4]  # band 3, from the bottom
    assert bright[0, 1] / image.shape[1] == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("duration_s", "texts"),
    [
        (0.5, ["0:00.0", "0:00.1", "0:00.2", "0:00.3", "0:00.4", "0:00.5"]),
        (4.5, ["0:00.0", "0:00.5", "0:01.0"]),
        (90.0, ["0:00", "0:10", "0:20"]),
        (7_200.0, ["0:00", "20:00", "40:00"]),
        (86_400.0, ["0:00", "3:00:00", "6:00:00"]),
        (3_000_000.0, ["0:00", "24:00:00", "48:00:00"]),
    ],
)
def test_the_time_axis_has_ticks_at_round_times(show, duration_s, texts):
    spans = show(duration_s=duration_s).find("span")
    ticks = [each for each in spans if each.get("class", "").startswith("tick")]
    assert [tick["text"] for tick in ticks][: len(texts)] == texts
    assert 4 <= len(ticks) <= 40
    places = [float(tick["style"].removeprefix("left:").removesuffix("%")) for tick in ticks]
    assert places[0] == 0
    assert places[-1] <= 100
    np.testing.assert_allclose(np.diff(places), places[1], atol=2e-3)


@pytest.mark.parametrize(
    ("seconds", "decimals", "text"),
    [
        (0, 1, "0:00.0"),
        (59.96, 1, "1:00.0"),
        (61.25, 1, "1:01.2"),
        (3_599.999, 0, "1:00:00"),
        (86_399.9, 1, "23:59:59.9"),
    ],
)
def test_times_are_written_as_clocks_show_them(seconds, decimals, text):
    assert clock(seconds, decimals) == text


@pytest.mark.parametrize("events", [EVENTS, []], ids=["events", "none"])
def test_the_picture_alone_is_a_png_with_axes(tmp_path, events):
    image = matplotlib.image.imread(io.BytesIO(picture(view(tmp_path, events=events))))
    assert image.ndim == 3
    assert image.shape[1] == 1200


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"color_scheme": "dark", "width": 360}])
def test_events_are_filtered_reached_by_keyboard_and_played(show, tmp_path, settings):
    (tmp_path / "audio" / "a").mkdir(parents=True)
    soundfile.write(tmp_path / "audio" / "a" / "x.wav", tone(440.0, 10.0), RATE_HZ)
    show(events=[*EVENTS, (6.0, 7.0, "dog", 0.4)])
    address = (tmp_path / "out" / "r.html").as_uri()
    with visit(address, **settings) as visited:
        page = visited.page
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        rows, boxes = page.locator("tr[data-label]:visible"), page.locator("a.box:visible")
        page.get_by_label("confidence from").fill("50")
        assert (rows.count(), boxes.count()) == (2, 2)
        assert page.inner_text("#found") == "2 events on this page match."
        page.get_by_label("class").select_option("dog")
        assert (rows.count(), boxes.count()) == (1, 1)
        page.get_by_label("confidence from").fill("0")
        rows.first.locator("a").focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.wait_for_function("document.querySelector('audio').currentTime >= 6")
        assert page.evaluate("document.querySelector('audio').duration") == pytest.approx(10)
        assert visited.errors == []
        assert visited.hosts() == set()
