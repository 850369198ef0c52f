"""What the tests of the page do on it."""

import numpy as np

from freqquest.audio.decode import encode_wav


def wav(length_s=3.0):
    times_s = np.arange(int(22_050 * length_s)) / 22_050
    return encode_wav((0.3 * np.sin(2 * np.pi * 500 * times_s)).astype(np.float32), 22_050)


def sound(name="dog.wav", content=None):
    return {"name": name, "mimeType": "", "buffer": wav() if content is None else content}


def choose(page, *files):
    page.get_by_label("Choose sound files").set_input_files(list(files))


def card(page, name):
    return page.locator("li.sound").filter(has=page.get_by_role("heading", name=name, exact=True))


def wait_for_answer(page, name="dog.wav"):
    card(page, name).locator(".heard").wait_for()


def drop(page, file, x, y):
    """Drop a file of this machine as the operating system does."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": data})


def download(page, name):
    """Return the name and the text of the file behind a button."""
    with page.expect_download() as waiting:
        page.get_by_role("button", name=name, exact=True).click()
    return waiting.value.suggested_filename, waiting.value.path().read_text()


def player_time_s(page):
    return page.locator("audio").first.evaluate("player => player.currentTime")


def overflow_px(page):
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
