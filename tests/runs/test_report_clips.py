import json
import re

import pytest

from freqquest.errors import UserError
from freqquest.runs import layout, report_clips
from freqquest.runs.clip_files import write_clips
from freqquest.runs.report import MAX_PAGE_BYTES, write_report
from freqquest.runs.report_clips import generated_pairs, held_out_clips
from freqquest.storage import locate
from tests.browser import needs_chromium, visit
from tests.runs.clips_run import (
    encode,
    make_predictions,
    make_predictions_of_several_labels,
    write_run,
)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """Run folder with nine held-out clips, and its report."""
    folder = tmp_path_factory.mktemp("run")
    write_run(folder, make_predictions())
    write_report(str(folder))
    return folder


@pytest.fixture(scope="module")
def several_dir(tmp_path_factory):
    """The same with clips of several labels."""
    folder = tmp_path_factory.mktemp("several")
    write_run(folder, make_predictions_of_several_labels())
    write_report(str(folder))
    return folder


def numbers(clips):
    return [clip["number"] for clip in clips]


def test_clips_are_shown_with_their_files_and_counted_by_class(run_dir):
    files = {}
    held_out = held_out_clips(locate(run_dir), False, files)
    assert numbers(held_out.mistakes) == [3, 6, 2]
    assert numbers(held_out.right) == [5, 8, 1, 4, 0, 7]
    assert held_out.counts == [[2, 2, 0], [1, 2, 0], [0, 0, 2]]
    assert held_out.matrix_classes == [0, 1, 2]
    assert (held_out.missed, held_out.false) == ([2, 1, 0], [1, 2, 0])
    surest = held_out.mistakes[0]
    assert (surest["path"], surest["start_s"]) == ("clip3.wav", 1.5)
    assert (surest["true"], surest["predicted"]) == ([0], [1])
    assert [bar[0] for bar in surest["bars"]] == ["siren", "dog", "rain"]
    assert [bar[2] for bar in surest["bars"]] == [False, True, False]
    assert {surest["sound"], surest["picture"]} < files.keys()
    assert len(files) == 2 * 9


def test_the_true_class_has_a_bar_however_improbable_it_is(run_dir, monkeypatch):
    monkeypatch.setattr(report_clips, "_NUM_BARS", 1)
    bars = held_out_clips(locate(run_dir), False, {}).mistakes[0]["bars"]
    assert [bar[0] for bar in bars] == ["siren", "dog"]


def test_a_large_matrix_has_the_classes_with_the_most_mistakes(run_dir, monkeypatch):
    monkeypatch.setattr(report_clips, "_MAX_CLASSES", 2)
    assert held_out_clips(locate(run_dir), False, {}).matrix_classes == [0, 1]
    write_report(str(run_dir))
    page = " ".join((run_dir / "report.html").read_text().split())
    assert "Shown are the 2 classes with the most mistakes of 3." in page
    monkeypatch.undo()
    write_report(str(run_dir))


def test_the_page_says_how_many_clips_it_leaves_out(tmp_path):
    write_run(tmp_path, make_predictions())
    file = locate(tmp_path) / layout.VALIDATION_CLIPS_NAME
    write_clips([{"row": 3, **encode(600)}, {"row": 5, **encode(600)}], file)
    write_report(str(tmp_path))
    page = " ".join((tmp_path / "report.html").read_text().split())
    assert "3 of 9 clips have a wrong answer. This page has 1 of them" in page
    assert "1 of the 6 others, the least sure first; 7 are left out." in page


def test_the_page_says_how_its_answers_differ_from_the_predict_jobs(tmp_path, several_dir):
    write_run(tmp_path, make_predictions())
    file = tmp_path / layout.METRICS_NAME
    sections = json.loads(file.read_text())
    for background, is_told in (({}, False), ({"background_label": "rain"}, True)):
        file.write_text(json.dumps({"cnn": sections["cnn"] | background}))
        write_report(str(tmp_path))
        page = " ".join((tmp_path / "report.html").read_text().split())
        assert ("rain, the background, counts as an answer here" in page) == is_told
        assert "A clip without an answer" not in page
    page = " ".join((several_dir / "report.html").read_text().split())
    assert "A clip without an answer reaches no threshold; the predict job gives it" in page


def test_a_clip_without_sound_says_so(tmp_path):
    write_run(tmp_path, make_predictions())
    file = locate(tmp_path) / layout.VALIDATION_CLIPS_NAME
    write_clips([{"row": 3, **encode(600), "sound": None}], file)
    write_report(str(tmp_path))
    page = (tmp_path / "report.html").read_text()
    assert "No sound: the file could not be read." in page
    assert "<audio" not in page


def test_clips_of_several_labels_have_no_matrix_but_lists_of_each_class(several_dir):
    held_out = held_out_clips(locate(several_dir), True, {})
    assert held_out.matrix_classes == held_out.counts == []
    assert (held_out.missed, held_out.false) == ([0, 1, 0], [0, 0, 1])
    page = " ".join((several_dir / "report.html").read_text().split())
    assert 'class="matrix"' not in page
    assert '<li>siren, missed: <a href="#clip-1">clip1.wav</a> </li>' in page
    assert '<li>rain, answered wrongly: <a href="#clip-2">clip2.wav</a> </li>' in page


def test_the_page_holds_all_files_up_to_its_limit_and_links_the_others_beyond(tmp_path):
    write_run(tmp_path, make_predictions())
    write_report(str(tmp_path))
    page = (tmp_path / "report.html").read_text()
    assert len(page) < MAX_PAGE_BYTES
    assert page.count("data:audio/mpeg") == page.count("data:image/webp") == 9
    assert not (tmp_path / "report_files").exists()
    limit_bytes = len(page) - 10_000
    write_report(str(tmp_path), limit_bytes)
    page = (tmp_path / "report.html").read_text()
    assert len(page.encode()) <= limit_bytes
    links = re.findall(r'src="(report_files/[^"]+)"', page)
    assert links
    folder = tmp_path / "report_files"
    names = {link.removeprefix("report_files/") for link in links}
    assert {path.name for path in folder.iterdir()} == names
    (folder / "mine.mp3").touch()
    write_report(str(tmp_path))  # which has them within the page
    assert [path.name for path in folder.iterdir()] == ["mine.mp3"]
    write_report(str(tmp_path), limit_bytes)
    assert {path.name for path in folder.iterdir()} == {*names, "mine.mp3"}


@pytest.mark.parametrize("name", [layout.PREDICTIONS_NAME, layout.VALIDATION_CLIPS_NAME])
@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.95])
def test_a_table_that_is_cut_is_named(tmp_path, name, share):
    write_run(tmp_path, make_predictions())
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=f"{name} is cut or damaged .*: copy the run folder again"):
        write_report(str(tmp_path))


def test_generated_clips_are_beside_their_nearest_real_ones(tmp_path):
    write_run(tmp_path, make_predictions())
    nearest = {"path": "/clips/dog/1.wav", "recording": "1", "label": "dog", "start_s": 2.0}
    pair = {
        "label": "dog",
        "Class": "siren",
        "probability": 0.75,
        **encode(500),
        "distance": 1.25,
        "nearest": nearest | encode(600),
    }
    write_clips([pair], locate(tmp_path) / layout.NEAREST_CLIPS_NAME)
    files = {}
    (shown,) = generated_pairs(locate(tmp_path), files)
    assert files[shown["sound"]] == pair["sound"]
    assert files[shown["nearest"]["sound"]] == pair["nearest"]["sound"]
    assert len(files) == 4


def is_shown(page):
    """Return the numbers of the clips that one sees."""
    return [
        int(element.get_attribute("id").removeprefix("clip-"))
        for element in page.query_selector_all("details.clips .clip")
        if element.is_visible()
    ]


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"color_scheme": "dark", "width": 360}])
def test_cells_filters_and_tables_of_the_page_work_without_any_request(run_dir, settings):
    with visit((run_dir / "report.html").as_uri(), **settings) as visited:
        page = visited.page
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert is_shown(page) == [3, 6, 2]
        page.get_by_role("button", name="dog taken for siren: 2 clips").press("Enter")
        assert is_shown(page) == [3, 2]
        assert page.inner_text("#found").startswith("dog taken for siren: 2 clips. 2 of 9")
        page.get_by_role("button", name="rain recognized: 2 clips").click()
        assert is_shown(page) == [8, 7]
        page.get_by_role("button", name="Show all").click()
        assert len(is_shown(page)) == 9
        page.get_by_label("mistakes only").check()
        page.get_by_label("confidence from").fill("60")
        assert is_shown(page) == [3, 6]
        page.get_by_label("file or recording").fill("RECORDING 1")
        assert is_shown(page) == [6]
        page.get_by_label("true class").select_option("rain")
        assert is_shown(page) == []
        recall = page.locator("table.sortable th", has_text="recall")
        recall.get_by_role("button").click()
        first = page.locator("table.sortable tbody tr td:first-child")
        assert recall.get_attribute("aria-sort") == "descending"
        assert first.all_inner_texts() == ["rain", "siren", "dog"]
        recall.get_by_role("button").click()
        assert first.all_inner_texts() == ["dog", "siren", "rain"]
        assert visited.errors == []
        assert [link for link in visited.requests if not link.startswith("data:")] == [
            (run_dir / "report.html").as_uri()
        ]


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("limit_bytes", [MAX_PAGE_BYTES, 0])
def test_one_sound_plays_at_a_time_whether_it_is_in_the_page_or_beside_it(tmp_path, limit_bytes):
    write_run(tmp_path, make_predictions())
    write_report(str(tmp_path), limit_bytes)
    with visit((tmp_path / "report.html").as_uri()) as visited:
        page = visited.page
        play = "async id => { const player = document.querySelector(`#clip-${id} audio`); "
        play += "player.muted = true; await player.play(); return player.duration; }"
        assert page.evaluate(play, 3) == pytest.approx(1, abs=0.1)
        assert page.evaluate(play, 6) == pytest.approx(1, abs=0.1)
        playing = page.evaluate(
            "[...document.querySelectorAll('audio')].filter(player => !player.paused).length"
        )
        assert playing == 1
        pictures = page.evaluate("[...document.querySelectorAll('#clip-3 img')].map(i => i.width)")
        assert pictures[0] > 0
        assert visited.errors == []
        assert visited.hosts() == set()


@needs_chromium
@pytest.mark.slow
def test_missed_and_wrong_labels_of_a_class_open_their_clips(several_dir):
    with visit((several_dir / "report.html").as_uri()) as visited:
        page = visited.page
        page.get_by_role("button", name="siren missed: 1 clip").click()
        assert is_shown(page) == [1]
        page.get_by_role("button", name="rain answered wrongly: 1 clip").click()
        assert is_shown(page) == [2]
        assert visited.errors == []


@needs_chromium
@pytest.mark.slow
def test_a_cell_with_more_clips_than_the_page_says_where_the_others_are(tmp_path):
    write_run(tmp_path, make_predictions())
    file = locate(tmp_path) / layout.VALIDATION_CLIPS_NAME
    write_clips([{"row": row, **encode(600)} for row in (3, 6)], file)
    write_report(str(tmp_path))
    with visit((tmp_path / "report.html").as_uri()) as visited:
        page = visited.page
        page.get_by_role("button", name="dog taken for siren: 2 clips").click()
        assert page.inner_text("#found").endswith(
            "1 of 2 clips on this page match; the others are in validation_predictions.csv."
        )
        page.get_by_role("button", name="siren taken for dog: 1 clip").click()
        assert page.inner_text("#found").endswith("1 of 2 clips on this page match.")
        assert visited.errors == []


@needs_chromium
@pytest.mark.slow
def test_without_scripts_the_matrix_and_the_mistakes_are_there(run_dir):
    with visit((run_dir / "report.html").as_uri(), java_script_enabled=False) as visited:
        page = visited.page
        assert page.locator(".matrix td").all_inner_texts() == [
            *("2", "2", ""),
            *("1", "2", ""),
            *("", "", "2"),
        ]
        assert is_shown(page) == [3, 6, 2]
        assert page.locator("#clip-3 audio").is_visible()
        assert page.get_by_role("button").count() == 0
        page.get_by_text("Right answers").click()
        assert len(is_shown(page)) == 9
