import json

import pytest

from freqquest.runs.report import write_report


@pytest.mark.parametrize(("kept", "shown"), [(2, 2), (3, 4)], ids=["kept", "last"])
def test_the_kept_generator_is_heard_where_it_left_sounds_else_the_last_one(tmp_path, kept, shown):
    for epoch in (2, 4):
        for place in (f"samples/a_ep1_ep{epoch}.wav", f"spectrograms/epoch_{epoch:03d}.png"):
            (tmp_path / place).parent.mkdir(exist_ok=True)
            (tmp_path / place).write_bytes(b"")
    (tmp_path / "cgan_epochs.csv").write_text(
        "epoch,loss_D,loss_G\n1,0.5,2\n2,0.4,3\n3,0.4,3\n4,0.4,3\n"
    )
    figures = {
        "epoch": 4,
        "generator_epoch": kept,
        "loss_D": 0.4,
        "loss_G": 3.0,
        "machine": "this one",
    }
    (tmp_path / "metrics.json").write_text(json.dumps({"cgan": figures}))
    write_report(str(tmp_path))
    page = (tmp_path / "report.html").read_text()
    assert f"<th>epoch {shown}</th>" in page
    assert (
        f'<td>a_ep1</td><td><audio controls preload="none" src="samples/a_ep1_ep{shown}.wav">'
        in page
    )
    assert f"spectrograms/epoch_{shown:03d}.png" in page
    assert f"ep{6 - shown}.wav" not in page
