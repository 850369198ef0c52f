from freqquest.runs import layout
from freqquest.runs.page import render_page


def test_a_page_has_the_style_and_its_values_are_escaped():
    names = ("name", "headlines", "config", "machine", "tensorboard")
    empty = dict.fromkeys(("dataset", "cnn", "held_out", "cgan", "generated"))
    values = dict.fromkeys(names, "<b>&") | empty
    page = render_page("freqquest.runs", "report_template.html", layout=layout, **values)
    assert "<title>freqquest: &lt;b&gt;&amp;</title>" in page
    assert "<b>" not in page
    assert page.count("color-scheme: light dark") == 1
