from freqquest.cgan import generate


def test_existing_names_are_listed_and_a_missing_folder_has_none(tmp_path):
    (tmp_path / "siren_0_000.wav").write_bytes(b"")
    assert generate._names_in(str(tmp_path)) == {"siren_0_000.wav"}
    assert generate._names_in(str(tmp_path / "missing")) == frozenset()
