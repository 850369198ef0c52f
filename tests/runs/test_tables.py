import pandas as pd

from freqquest.runs.tables import restore, write_csv
from freqquest.storage import locate


def test_cells_that_a_spreadsheet_would_run_are_neutralized(tmp_path):
    table = pd.DataFrame(
        {"ID": ["=1+1", "+a", "-b", "@c", "\td", "plain"], "number": [-1, 2, 3, 4, 5, 6]}
    )
    write_csv(table, locate(tmp_path / "t.csv"))
    back = pd.read_csv(tmp_path / "t.csv", dtype=str)
    assert back["ID"].tolist() == ["'=1+1", "'+a", "'-b", "'@c", "'\td", "plain"]
    assert back["number"].tolist() == ["-1", "2", "3", "4", "5", "6"]


def test_a_carriage_return_stays_in_its_cell(tmp_path):
    table = pd.DataFrame({"path": ["Icon\r", "a\r\nb", "\rc"], "number": [1.5, None, 3]})
    write_csv(table, locate(tmp_path / "t.csv"))
    back = pd.read_csv(tmp_path / "t.csv")
    assert restore(back["path"]).tolist() == table["path"].tolist()
    pd.testing.assert_series_equal(back["number"], table["number"])


def test_columns_of_the_user_are_written_unchanged(tmp_path):
    table = pd.DataFrame({"ID": ["=1+1", "-b"], "reason": ["=x", "y"]})
    write_csv(table, locate(tmp_path / "t.csv"), unchanged=["ID"])
    assert (tmp_path / "t.csv").read_text() == "ID,reason\n=1+1,'=x\n-b,y\n"
