"""CSV files of any separator and encoding."""

import pytest

from freqquest.dataset.text_tables import read_csv, read_text_table
from freqquest.errors import UserError
from freqquest.storage import locate


def write(tmp_path, content):
    (tmp_path / "t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return locate(tmp_path / "t.csv")


TEXT = 'path;label\na.wav;"one; two"\n\nb.wav;café\n'


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
def test_any_common_encoding_is_read(tmp_path, encoding):
    table = read_text_table(write(tmp_path, TEXT.encode(encoding)), "t.csv")
    assert table.rows["label"].to_dict() == {2: "one; two", 4: "café"}
    is_guessed = encoding == "cp1252"
    assert table.notes == ["t.csv is not UTF-8 and was read as Windows-1252"] * is_guessed


@pytest.mark.parametrize("content", [b"path,label\n\x81\xff.wav,a\n", b"\xff\xfea"])
def test_a_table_in_no_known_encoding_is_refused(tmp_path, content):
    with pytest.raises(UserError, match="t.csv is not a readable CSV: it is neither .*save it as"):
        read_text_table(write(tmp_path, content), "t.csv")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_separator_is_the_one_that_header_and_rows_agree_on(tmp_path, separator):
    lines = [("path", "label", "a;b,c"), ("x,y.wav", "dog;cat", "1"), ("z.wav", "a", "")]
    text = "\n".join(separator.join(f'"{cell}"' for cell in line) for line in lines)
    table = read_text_table(write(tmp_path, text), "t.csv").rows
    assert table.columns.tolist() == ["path", "label", "a;b,c"]
    assert table.loc[2].tolist() == ["x,y.wav", "dog;cat", "1"]


def test_a_separator_in_the_header_alone_does_not_decide(tmp_path):
    table = read_text_table(write(tmp_path, "path;label (a,b,c)\nx.wav;dog\n"), "t.csv").rows
    assert table.columns.tolist() == ["path", "label (a,b,c)"]


def test_cells_and_column_names_are_stripped(tmp_path):
    file = write(tmp_path, " path , label \n a.wav , hum\n , \n")
    table = read_text_table(file, "t.csv").rows
    assert table.to_dict("index") == {2: {"path": "a.wav", "label": "hum"}}
    assert read_csv(str(file), ["PATH"], "p", strip=False)["PATH"].tolist() == [" a.wav ", " "]


def test_a_missing_column_is_named_beside_those_that_are_there(tmp_path):
    with pytest.raises(UserError, match="`sample=.*t.csv` lacks the column ID; it has path, label"):
        read_csv(str(write(tmp_path, "path , label\n1,2\n")), ["ID"], "sample")


def test_columns_without_a_name_are_kept_apart(tmp_path):
    table = read_text_table(write(tmp_path, ",path,label,\n0,a.wav,x,\n"), "t.csv").rows
    assert table.loc[2, ["path", "label"]].tolist() == ["a.wav", "x"]


def test_lines_are_those_of_the_file_even_after_line_breaks_in_cells(tmp_path):
    text = 'path,label\n"a\nb.wav",x\n\nc.wav,y\n'
    assert read_text_table(write(tmp_path, text), "t.csv").rows.index.tolist() == [2, 5]
