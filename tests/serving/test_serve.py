import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from freqquest.errors import UserError
from freqquest.serving.config import ServeConfig
from freqquest.serving.serve import check_request, serve
from tests.serving.test_access import make_certificate


def test_all_that_needs_no_ray_is_checked_before_it_starts(model_file, tmp_path):
    def check(**settings):
        defaults = {"model": str(model_file), "port": 0}
        check_request(ServeConfig(**defaults | settings)).listening.close()

    check()
    (tmp_path / "model.keras").write_bytes(b"no model")
    (tmp_path / "token").write_text("short")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for settings, problem in {
            ("model", str(tmp_path / "model.keras")): "is not a readable model file",
            (
                "token_file",
                str(tmp_path / "token"),
            ): "`token_file=.*` must hold one line of 16 or more",
            ("port", port): f"`port={port}` is in use",
        }.items():
            with pytest.raises(UserError, match=problem):
                check(**dict([settings]))


def test_risks_of_a_service_off_this_machine_are_told(model_file, tmp_path, capsys):
    token = tmp_path / "token"
    token.write_text("0123456789abcdef")
    token.chmod(0o644)
    config = ServeConfig(model=str(model_file), host="0.0.0.0", port=0, token_file=str(token))
    check_request(config).listening.close()
    unencrypted, readable = capsys.readouterr().err.splitlines()
    assert unencrypted.startswith("warning: without a certificate, tokens and uploads cross the")
    assert readable == f"warning: other users of this machine may read {token}: chmod 600 it"


def test_a_private_key_that_others_may_read_is_told(model_file, tmp_path, capsys):
    certificate, key = make_certificate(tmp_path / "files")
    config = ServeConfig(model=str(model_file), port=0, certificate=certificate, key=key)
    for mode, text in {
        0o600: "",
        0o640: f"warning: other users of this machine may read {key}: chmod 600 it\n",
    }.items():
        Path(key).chmod(mode)
        check_request(config).listening.close()
        assert capsys.readouterr().err == text


def test_services_of_one_cluster_have_names_of_their_own_and_end_without_a_server(
    model_file, monkeypatch
):
    names, stopped = [], []

    def start(config, hearing, name):
        names.append(name)
        return SimpleNamespace(stop=lambda: stopped.append(name))

    def fail(*_):
        raise OSError

    monkeypatch.setattr("freqquest.serving.replicas.Replicas.start", start)
    monkeypatch.setattr("freqquest.serving.serve.create_app", fail)
    config = ServeConfig(model=str(model_file), port=0)
    request = check_request(config)
    for _ in range(2):
        with pytest.raises(OSError):
            serve(config, request)
    request.listening.close()
    assert len(set(names)) == 2
    assert all(name.startswith("freqquest") for name in names)
    assert stopped == names
