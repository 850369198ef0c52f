"""Columns of paths, and the files that cells of a table name."""

import pandas as pd
import pytest

from freqquest.dataset.file_names import (
    NO_FILE,
    SEVERAL_FILES,
    are_inside,
    folders,
    is_inside,
    match_files,
    names,
    tidy,
    top_folders,
    without_ending,
)


def column(*values):
    return pd.Series(values, dtype=str)


@pytest.mark.parametrize("path", ["a.wav", "a/b.wav", "ö 👩‍🚒.wav", "a..b.wav", "=1.wav"])
def test_relative_paths_are_inside(path):
    assert is_inside(path)
    assert are_inside(column(path)).all()


@pytest.mark.parametrize(
    "path", ["", ".", "/a.wav", "../a.wav", "a/../../b.wav", "a\nb", "a\0b", "a\tb", "a\x7f"]
)
def test_other_paths_are_not_inside(path):
    assert not is_inside(path)
    assert not are_inside(column(path)).any()


def test_paths_are_divided_into_folder_name_and_ending():
    paths = column("a/b/c.wav", "a/new\nline.FLAC", "d.e.wav", "3.14")
    assert folders(paths).tolist() == ["a/b", "a", "", ""]
    assert top_folders(paths).tolist() == ["a", "a", "", ""]
    assert names(paths).tolist() == ["c.wav", "new\nline.FLAC", "d.e.wav", "3.14"]
    assert without_ending(paths).tolist() == ["a/b/c", "a/new\nline", "d.e", "3.14"]


@pytest.mark.parametrize(
    "cell",
    ["a/b.wav", "./a/b.wav", "a\\b.wav", ".\\a\\b.wav", "a/./b.wav", "a//b.wav", "/top/a/b.wav"],
)
def test_other_ways_to_write_a_path_are_tidied(cell):
    assert tidy(column(cell), "/top").tolist() == ["a/b.wav"]


@pytest.mark.parametrize(
    ("cell", "position"),
    [
        ("a/x.wav", 0),
        ("A/X.WAV", 0),
        ("a/x", 0),
        ("a/x.flac", 0),
        ("x.wav", 0),
        ("b/x.wav", NO_FILE),
        ("3.14", 1),
        ("y", SEVERAL_FILES),
        ("b/y.wav", 3),
        ("missing", NO_FILE),
        ("../a/x.wav", NO_FILE),
        (None, NO_FILE),
    ],
)
def test_a_cell_names_a_file_by_path_or_unique_name_in_any_case_and_ending(cell, position):
    files = column("a/x.wav", "3.14.wav", "a/y.wav", "b/y.wav")
    assert match_files(column(cell, "a/x.wav"), files)[0] == position


def test_a_folder_that_only_the_table_has_does_not_count():
    files = column("x.wav", "deep/y.wav")
    cells = column("data/audio/x.wav", "data/audio/deep/y.wav")
    assert match_files(cells, files).tolist() == [0, 1]
    assert match_files(column("other/x.wav", "x.wav"), files).tolist() == [NO_FILE, 0]
    assert match_files(column("deep/x.wav"), files).tolist() == [NO_FILE]
