from freqquest.runs import progress


def test_a_log_gets_plain_lines_with_how_far_and_what(capsys, monkeypatch):
    monkeypatch.setattr(progress, "_LOG_INTERVAL_S", 0.0)
    with progress.Progress("preprocess", 4, "clips") as shown:
        shown.update(1)
        shown.update_to(4, "all of them")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("preprocess:   0% 0/4")  # a long first wait does not look like a crash
    assert lines[1].startswith("preprocess:  25% 1/4")
    assert lines[-1].startswith("preprocess: 100% 4/4")
    assert "all of them" in lines[-1]
    assert "\r" not in "".join(lines)


def test_the_last_message_of_another_process_is_shown(local_ray, capsys):
    with progress.shared_progress("generate", None, "clips") as queue:
        for done in range(41):
            queue.put((done, ""))
    assert capsys.readouterr().err.splitlines()[-1].startswith("generate: 40 clips")
