import json
import re

import numpy as np
import pytest

from freqquest.runs.report import headlines, summarize, write_report


@pytest.mark.parametrize(("kept", "shown"), [(2, 2), (3, 4)], ids=["kept", "last"])
def test_the_kept_epoch_is_shown_if_it_left_sounds_else_the_last_one(tmp_path, kept, shown):
    for epoch in (2, 4):
        for path in (f"samples/a_ep1_ep{epoch}.wav", f"spectrograms/epoch_{epoch:03d}.png"):
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_bytes(b"")
    (tmp_path / "cgan_epochs.csv").write_text(
        "epoch,loss_D,loss_G\n1,0.5,2\n2,0.4,3\n3,0.4,3\n4,0.4,3\n"
    )
    metrics = {
        "epoch": 4,
        "generator_epoch": kept,
        "loss_D": 0.4,
        "loss_G": 3.0,
        "machine": "this one",
    }
    (tmp_path / "metrics.json").write_text(json.dumps({"cgan": metrics}))
    write_report(str(tmp_path), limit_bytes=0)
    page = (tmp_path / "report.html").read_text()
    assert f"<th>epoch {shown}</th>" in page
    assert (
        f'<td>a_ep1</td><td><audio controls preload="none" src="samples/a_ep1_ep{shown}.wav">'
        in page
    )
    assert f"spectrograms/epoch_{shown:03d}.png" in page
    assert f"ep{6 - shown}.wav" not in page


CNN = {
    "accuracy": 0.75,
    "accuracy_by_fold": [0.7, 0.8],
    "num_clips": 20,
    "num_recordings": 10,
    "num_trials": 4,
    "cnn_config": {"schedule": "one_cycle"},
    "split": "2 folds",
    "num_extra_clips": 3,
    "audit": {"sentence": "leakage audit: none"},
}


def test_the_classifiers_headline_names_the_data_it_was_measured_on():
    assert headlines({"cnn": CNN}) == [
        "classifier's accuracy: 0.750 on 20 validation clips of 10 recordings (2 folds; 0.700, "
        "0.800 on each fold, spread 0.050); the same clips chose the configuration; "
        "trained on 3 extra clips too",
        "leakage audit: none",
    ]


SEVERAL = {
    "mean_average_precision": 0.75,
    "mean_average_precision_by_fold": [0.75],
    "num_clips": 20,
    "num_recordings": 10,
    "num_trials": 1,
    "num_failed_trials": 0,
    "num_members": 3,
    "trained_on": "all labeled clips",
    "cnn_config": {"schedule": "one_cycle"},
    "split": "by recordings",
    "by_class": {
        "dog": {
            "precision": 0.5,
            "recall": 0.25,
            "support": 8.0,
            "average_precision": 0.625,
            "threshold": 0.375,
        },
        "none": {
            "precision": 0.0,
            "recall": 0.0,
            "support": 0.0,
            "average_precision": None,
            "threshold": 0.5,
        },
    },
    "temperature": [0.5, 2.0],
    "calibration_error": {"before": 0.2, "after": 0.1},
    "machine": "this one",
}


def test_several_labels_are_reported_by_mean_average_precision_and_thresholds(tmp_path):
    assert headlines({"cnn": SEVERAL}) == [
        "classifier's mean average precision: 0.750 on 20 validation clips of 10 recordings "
        "(by recordings)"
    ]
    (tmp_path / "metrics.json").write_text(json.dumps({"cnn": SEVERAL}))
    lines = summarize(str(tmp_path)).splitlines()
    header = "class precision recall clips average precision threshold"
    assert lines[1].split() == header.split()
    assert lines[2].split() == ["dog", "0.50", "0.25", "8", "0.62", "0.38"]
    assert lines[3].split()[-2:] == ["-", "0.50"]
    write_report(str(tmp_path))
    page = (tmp_path / "report.html").read_text()
    assert '<img class="plot" src="class_scores.png"' in page
    assert "confusion_matrix.png" not in page
    assert "a temperature of its\nown, from 0.50 to 2.00" in page
    assert "<td>0.62</td>\n<td>0.38</td>" in page


def test_the_generators_headlines_compare_with_real_clips():
    generated = {"accuracy": 0.5, "frechet": 2.0, "kernel": None, "diversity": 0.9}
    real = {"accuracy": 0.9, "frechet": 1.0, "kernel": 0.1, "diversity": 1.0}
    cgan = {
        "epoch": 20,
        "generator_epoch": 10,
        "loss_D": 1.0,
        "loss_G": 2.0,
        "judge": {"overall": generated, "num_clips": 80, "note": "by our own classifier"},
        "baseline": {"overall": real},
    }
    submission = {"accuracy": 0.6, "num_clips": 5}
    clips = {"judge_accuracy": 0.25, "num_clips": 8}
    assert headlines({"submission": submission, "cgan": cgan, "generated": clips}) == [
        "submission's accuracy: 0.600 on 5 test clips, of recordings used for nothing else",
        "generator: epoch 10 of 20; at the end loss_D 1.000, loss_G 2.000",
        "generator's clips: 0.500 of 80 are classified as their class (real clips: 0.900); "
        "frechet 2.000 (1.000), diversity 0.900 (1.000); by our own classifier",
        "generated clips: 0.250 of 8 (in generated/) are classified as the class they were made "
        "for",
    ]


HARDWARE = {
    "device": "NVIDIA H100",
    "gpu_total_mib": 81559.0,
    "num_workers": 2,
    "num_threads": 4,
    "clips_per_s": 983.4,
    "step_ms": 16.31,
    "loader_share": 0.01,
    "launch_share": 0.95,
    "device_share": 0.04,
    "gpu_busy": 0.13,
    "gpu_power_w": None,
    "process_mib": 2345.6,
    "gpu_mib": 973.0,
    "limit": "launches",
    "hint": "the GPU is busy 13% of the time",
}


@pytest.fixture
def report_of(tmp_path):
    """Write a report of a generator's training on this hardware."""

    def write(hardware):
        (tmp_path / "cgan_epochs.csv").write_text("epoch,loss_D,loss_G\n1,0.5,2\n")
        cgan = {"epoch": 1, "generator_epoch": 1, "loss_D": 0.5, "loss_G": 2.0, "machine": "this"}
        (tmp_path / "metrics.json").write_text(json.dumps({"cgan": cgan | hardware}))
        write_report(str(tmp_path))
        return (tmp_path / "report.html").read_text()

    return write


def test_the_report_tells_speed_and_load_of_a_gpu_and_what_limits_it(report_of):
    page = report_of({"hardware": HARDWARE})
    for name, value in {
        "device": "NVIDIA H100, of worker 0",
        "workers": "2, of 4 thread(s) each",
        "clips per second": "983",
        "time of a step": "16.3 ms",
        "GPU busy": "13%",
        "GPU power": "not available",
        "GPU memory": "973 of 81,559 MiB",
        "memory of the process": "2,346 MiB",
        "time of an epoch": "waiting for clips 1%, launches 95%, waiting for the device 4%",
        "limit": "launches",
    }.items():
        assert f"<tr><td>{name}</td><td>{value}</td></tr>" in page
    assert "<li>generator&#39;s training: the GPU is busy 13% of the time</li>" in page


def test_the_report_of_a_cpu_has_no_rows_of_a_gpu(report_of):
    on_cpu = {"device": "CPU", "gpu_total_mib": None, "num_workers": 1, "hint": None}
    page = report_of({"hardware": HARDWARE | on_cpu})
    assert "<td>device</td><td>CPU</td>" in page
    assert "computing 95%" in page
    assert "GPU" not in page


def test_runs_of_earlier_versions_have_no_table_of_hardware(report_of):
    assert "Speed and hardware" not in report_of({})


def test_the_coverage_of_a_precision_is_reported_if_the_run_has_its_picture(tmp_path):
    cnn = {name: value for name, value in SEVERAL.items() if "average" not in name}
    cnn |= {"accuracy": 0.75, "accuracy_by_fold": [0.75], "temperature": 1.5, "by_class": {}}
    cnn["coverage_at_precision"] = {"0.8": 0.625, "0.99": 0.0}
    (tmp_path / "metrics.json").write_text(json.dumps({"cnn": cnn}))
    write_report(str(tmp_path))
    assert "coverage.png" not in (tmp_path / "report.html").read_text()
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "coverage.png").write_bytes(b"a picture")
    write_report(str(tmp_path), limit_bytes=0)
    page = " ".join((tmp_path / "report.html").read_text().split())
    assert '<img class="plot" src="figures/coverage.png"' in page
    assert "62 % with a precision of 0.8, none with a precision of 0.99." in page


def test_the_judges_table_has_the_classes_in_its_body_and_all_together_below_it(tmp_path):
    names = "accuracy", "frechet", "kernel", "diversity"

    def values(start):
        return {name: start + number / 10 for number, name in enumerate(names)}

    judge, real = (
        {"overall": values(start), "by_class": {"dog": values(start + 1)}, "num_clips": 8}
        for start in (1, 5)
    )
    cgan = {
        "epoch": 1,
        "generator_epoch": 1,
        "loss_D": 0.5,
        "loss_G": 2.0,
        "machine": "this",
        "judge": judge | {"note": "by our own classifier"},
        "baseline": real,
        "baseline_of_epochs": dict.fromkeys(names, 0.5),
    }
    (tmp_path / "cgan_epochs.csv").write_text("epoch,loss_D,loss_G,judge/accuracy\n1,0.5,2,1\n")
    (tmp_path / "metrics.json").write_text(json.dumps({"cgan": cgan}))
    write_report(str(tmp_path))
    page = " ".join((tmp_path / "report.html").read_text().split())
    (body,) = re.findall("<tbody>(.*?)</tbody>", page)
    (foot,) = re.findall("<tfoot>(.*?)</tfoot>", page)
    assert "<td>dog</td> <td>2.000 (6.000) </td> <td>2.100 (6.100) </td>" in body
    assert "<td>overall</td> <td>1.000 (5.000) </td> <td>1.100 (5.100) </td>" in foot
    assert "overall" not in body


@pytest.fixture
def judged_twice():
    """Metrics of a training that was judged by a classifier and by an embedding."""

    def metrics(kernel, note, **others):
        values = {"accuracy": 0.5, "kernel": kernel, "diversity": 0.9} | others
        return {"overall": values, "by_class": {"dog": values}, "num_clips": 80, "note": note}

    def space(note, **others):
        judge, baseline = metrics(0.25, note, **others), metrics(0.125, note, **others)
        of_epochs = baseline["overall"]
        return {"judge": judge, "baseline": baseline, "baseline_of_epochs": of_epochs}

    training = {"epoch": 2, "generator_epoch": 1, "loss_D": 1.0, "loss_G": 2.0, "machine": "this"}
    return training | {
        **space("by the classifier", frechet=2.0),
        "embedding": space("by a network"),
        "mixture": {"judge": 0.0625, "baseline": 0.03125, "baseline_of_epochs": 0.5},
    }


def test_each_space_has_a_headline(judged_twice):
    assert headlines({"cgan": judged_twice})[1:] == [
        "generator's clips: 0.500 of 80 are classified as their class (real clips: 0.500); "
        "frechet 2.000 (2.000), kernel 0.250 (0.125), diversity 0.900 (0.900); by the classifier",
        "generator's clips: 0.500 of 80 are classified as their class (real clips: 0.500); "
        "kernel 0.250 (0.125), diversity 0.900 (0.900); by a network",
    ]


def test_each_space_has_a_table_and_curves_beside_those_of_the_mixture(
    judged_twice, tmp_path, monkeypatch
):
    drawn = {}

    def curves(series, *_):
        drawn.update(series)
        return np.zeros((2, 2, 3), np.uint8)

    monkeypatch.setattr("freqquest.plots.curves_with_references", curves)
    columns = "epoch,loss_D,loss_G,judge/accuracy,judge/mixture,judge/mixture_real,embedding/kernel"
    rows = "1,0.5,2,0.25,0.1,0.5,0.3\n2,0.5,2,0.75,0.2,0.5,0.4\n"
    (tmp_path / "cgan_epochs.csv").write_text(f"{columns}\n{rows}")
    (tmp_path / "metrics.json").write_text(json.dumps({"cgan": judged_twice}))
    write_report(str(tmp_path))
    page = " ".join((tmp_path / "report.html").read_text().split())
    tables = re.findall(r"<table class=\"sortable\">(.*?)</table>", page)
    assert ["frechet (real)" in table for table in tables] == [True, False]
    assert all("<td>dog</td> <td>0.500 (0.500) </td>" in table for table in tables)
    assert "in parentheses, real ones; by a network." in page
    assert "here 0.062 (real clips: 0.031)" in page
    assert drawn == {
        "mixture": ([0.1, 0.2], 0.5),
        "accuracy": ([0.25, 0.75], 0.5),
        "embedding/kernel": ([0.3, 0.4], 0.125),
    }
