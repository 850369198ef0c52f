"""The quickstart notebook runs from top to bottom, with players and pictures in it."""

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parent.parent / "examples" / "quickstart.ipynb"

TINY_SETTINGS = """
FOLDER = "quickstart"
NUM_RECORDINGS = 3
CNN_EPOCHS = 1
NUM_MEMBERS = 0
JUDGE_CLIPS = 1
GENERATOR_EPOCHS = 1
"""


def read_notebook():
    import nbformat

    return nbformat.read(NOTEBOOK, as_version=4)


def test_the_notebook_is_committed_without_outputs():
    cells = [cell for cell in read_notebook().cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)


@pytest.mark.slow
def test_the_notebook_runs_and_shows_players_and_pictures(local_ray, tmp_path, monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.setenv("RAY_ADDRESS", local_ray)  # to start its own takes longer
    notebook = read_notebook()
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = TINY_SETTINGS
    NotebookClient(notebook, timeout=3_600, resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [
        output.data
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "data" in output
    ]
    players = [data for data in outputs if "data:audio/" in data.get("text/html", "")]
    pictures = [data for data in outputs if "image/png" in data]
    num_classes = 5
    assert len(players) == 2 * num_classes + 1  # of real clips, generated ones, and a waveform
    assert len(pictures) == 5
    reports = sorted(path.parent.name for path in tmp_path.rglob("report.html"))
    assert reports == ["cnn", "generator"]
