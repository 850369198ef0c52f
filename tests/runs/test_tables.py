import pandas as pd

from freqquest.runs.tables import write_csv
from freqquest.storage import locate


def test_cells_that_a_spreadsheet_would_run_are_neutralized(tmp_path):
    table = pd.DataFrame(
        {"ID": ["=1+1", "+a", "-b", "@c", "\td", "plain"], "number": [-1, 2, 3, 4, 5, 6]}
    )
    write_csv(table, locate(tmp_path / "t.csv"))
    back = pd.read_csv(tmp_path / "t.csv", dtype=str)
    assert back["ID"].tolist() == ["'=1+1", "'+a", "'-b", "'@c", "'\td", "plain"]
    assert back["number"].tolist() == ["-1", "2", "3", "4", "5", "6"]
