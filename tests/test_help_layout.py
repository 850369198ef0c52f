"""The help of every job: all of its settings, in groups, with placeholders and examples."""

import dataclasses
import re
import shlex

import pytest

from freqquest import cli_form, commands, help_layout
from freqquest.benchmark.registry import BENCHMARKS
from freqquest.cgan import config as cgan_config
from freqquest.cgan.config import EPOCHS, TrainConfig
from freqquest.cnn.tune_config import MAX_EPOCHS, NUM_MEMBERS, NUM_TRIALS, TuneConfig
from freqquest.pipeline_config import _DEMO_BUDGET, PipelineConfig

COMMANDS = list(help_layout.EXAMPLES)


def config_type_of(command):
    job, _, benchmark = command.partition(" ")
    if benchmark:
        return BENCHMARKS[benchmark].config_type
    return commands.JOBS[job].config_type()


def test_every_job_and_benchmark_has_examples():
    benchmarks = [f"benchmark {name}" for name in BENCHMARKS]
    assert {*commands.JOBS, *benchmarks} == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_setting_stands_in_one_group(command):
    config_type = config_type_of(command)
    names = [field.name for field in dataclasses.fields(config_type)]
    fields = dict.fromkeys(names)
    groups = help_layout.groups_of(config_type.__name__, fields)
    assert sorted(name for group in groups.values() for name in group) == sorted(names)
    if config_type.__name__ in help_layout.GROUPS:
        listed = " ".join(help_layout.GROUPS[config_type.__name__].values()).split()
        assert sorted(listed) == sorted(names)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_complete_and_reads_well(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    job, *words = command.split()
    with pytest.raises(SystemExit):
        commands.run_job(job, [*words, "--help"], f"freqquest {job}")
    text = capsys.readouterr().out
    assert text.startswith(f"usage: freqquest {command} [-h]")
    for unreadable in ("None|", "|None", "{None}", "STR", "INT", "FLOAT", "jobs/", ".py"):
        assert unreadable not in text
    fields = dataclasses.fields(config_type_of(command))
    for field in fields:
        assert re.search(rf"\W --{field.name.replace('_', '-')} ", text), field.name
    for field in fields:
        assert f"`{field.name}`" not in text, "docstrings show flags"
    assert text.count(f"  freqquest {command}") == 2


def test_defaults_in_the_help_are_those_of_the_presets_and_of_the_demo():
    by_preset = {
        (TuneConfig, "num_trials"): NUM_TRIALS,
        (TuneConfig, "max_epochs"): MAX_EPOCHS,
        (TuneConfig, "num_members"): NUM_MEMBERS,
        (TrainConfig, "epochs"): EPOCHS,
    }
    for (config_type, name), defaults in by_preset.items():
        text = f"Default: {defaults['default']}, or {defaults['reference']} with `preset=reference`"
        assert text in doc_of(config_type, name)
    batch_size = cgan_config.PRESETS["default"].batch_size
    assert f"Default: {batch_size}." in doc_of(TrainConfig, "batch_size")
    for name, default in _DEMO_BUDGET.items():
        assert f"by default {default} " in doc_of(PipelineConfig, name)


def doc_of(config_type, name):
    return " ".join(cli_form.field_docs(config_type)[name].split())


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_are_accepted(command):
    job, *words = command.split()
    for example in help_layout.EXAMPLES[command]:
        config, _ = commands.parse_job(job, [*words, *shlex.split(example)])
        assert isinstance(config, config_type_of(command))
