"""What Ray Tune is told, without Ray."""

from types import SimpleNamespace

from freqquest.cnn.config import TuneConfig
from freqquest.cnn.search.ray_tune import Scheduler, Watch, position
from freqquest.cnn.search.run import first_points


def test_the_preset_is_known_by_its_values_whatever_the_order_in_which_a_resumed_search_gives_the_trials():
    points = first_points(TuneConfig(dataset_dir="unused", run_dir="unused"))
    others = {"seed": 0, "copies": "draw"}
    assert position(others | points[0], points) == 0
    assert position(others | points[1], points) == 1
    assert position(points[0] | {"mixup": 1.0}, points) == 2


def test_the_scheduler_ends_what_falls_behind_but_never_the_preset():
    scheduler = Scheduler(
        {"mixup": 0.3},
        metric="score",
        mode="max",
        time_attr="epoch",
        max_t=8,
        grace_period=2,
        reduction_factor=3,
    )

    def decisions(number, mixup, score):
        trial = SimpleNamespace(trial_id=str(number), config={"mixup": mixup})
        scheduler.on_trial_add(None, trial)
        return [
            scheduler.on_trial_result(None, trial, {"epoch": epoch, "score": score})
            for epoch in (2, 8)
        ]

    for number in range(4):
        decisions(number, 0.0, 0.9)
    assert decisions(4, 0.0, 0.1)[0] == "STOP"
    assert decisions(5, 0.3, 0.1) == ["CONTINUE", "STOP"]  # and at its end, as all


def test_progress_goes_back_with_a_trial_that_begins_again(capsys):
    watch, trial = Watch(num_trials=2, num_epochs=4), SimpleNamespace(trial_id="a")
    watch.on_step_begin(0, [])
    for epoch in (1, 2, 3):
        watch.on_trial_result(0, [], trial, {"epoch": epoch, "validation/score": 0.5})
    watch.on_trial_recover(0, [], trial)
    watch.on_trial_result(0, [], trial, {"epoch": 1, "validation/score": 0.5})
    watch.on_experiment_end([])
    last = capsys.readouterr().err.splitlines()[-1]
    assert "1/8" in last
    assert "0/2 trials done, 1 lost and begun again, best validation accuracy 0.500" in last


def test_what_an_interrupted_search_had_finished_counts_as_done(capsys):
    kept = SimpleNamespace(
        trial_id="a", is_finished=lambda: True, last_result={"validation/score": 0.75}
    )
    new = SimpleNamespace(trial_id="b", is_finished=lambda: False, last_result={})
    watch = Watch(num_trials=2, num_epochs=4)
    watch.on_step_begin(0, [kept, new])
    first = capsys.readouterr().err.splitlines()[-1]
    assert "4/8" in first
    assert "1/2 trials done, best validation accuracy 0.750" in first
    watch.on_trial_result(0, [], new, {"epoch": 4, "validation/score": 0.5})
    watch.on_trial_complete(0, [], new)
    watch.on_experiment_end([kept, new])
    last = capsys.readouterr().err.splitlines()[-1]
    assert "8/8" in last
    assert "2/2 trials done, best validation accuracy 0.750" in last


def test_a_search_that_had_finished_all_says_so(capsys):
    kept = SimpleNamespace(
        trial_id="a", is_finished=lambda: True, last_result={"validation/score": 0.75}
    )
    Watch(num_trials=1, num_epochs=4).on_experiment_end([kept])
    assert "1/1 trials done, best validation accuracy 0.750" in capsys.readouterr().err
