import ast
from pathlib import Path

from freqquest.runs import layout

PACKAGE = Path(layout.__file__).parents[1]
NAMES = {name: value for name, value in vars(layout).items() if name.isupper()}


def test_each_name_is_declared_once():
    assert len(set(NAMES.values())) == len(NAMES)


def test_file_names_end_in_name_and_folders_in_dir():
    for name, value in NAMES.items():
        assert name.endswith("_NAME") == ("." in value), name
        assert name.endswith(("_NAME", "_DIR")), name


def test_the_report_spells_no_name_of_a_file_of_a_run():
    template = (PACKAGE / "runs" / "report_template.html").read_text()
    for name, value in NAMES.items():
        assert not name.endswith("_NAME") or value not in template, name


def test_no_other_module_spells_the_name_of_a_file_of_a_run():
    spelled = {value for name, value in NAMES.items() if name.endswith("_NAME")}
    for path in PACKAGE.rglob("*.py"):
        if path != Path(layout.__file__):
            strings = [
                node.value
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            ]
            assert not spelled & set(strings), path
