import socket
import ssl
import subprocess

import pytest

from freqquest.errors import UserError
from freqquest.serving import access
from freqquest.serving.config import ServeConfig


def test_a_port_in_use_is_named_with_the_fix():
    with access.open_socket("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(UserError, match=f"`port={port}` is in use: choose another one, or `po"):
            access.open_socket("127.0.0.1", port)


def test_addresses_that_are_not_of_this_machine_are_refused():
    with pytest.raises(UserError, match=r"`host=192\.0\.2\.1`, `port=0` cannot be listened on"):
        access.open_socket("192.0.2.1", 0)
    for host in ("no.such.host.invalid", "a..b", "a" * 64):
        with pytest.raises(UserError, match=f"`host={host}` is not an address: give one of this"):
            access.open_socket(host, 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "::"])
def test_the_url_can_be_reached_as_it_is_printed(host):
    if host == "::" and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    config = ServeConfig(model="m", host=host, port=0, token_file="t")
    with access.open_socket(host, 0) as listening:
        scheme, _, address = access.url(config, listening).partition("://")
        name, _, port = address.rpartition(":")
        assert scheme == "http"
        assert name != "0.0.0.0"
        socket.create_connection((name, int(port)), timeout=5).close()


def test_urls_of_https_and_of_the_newer_internet_protocol():
    with socket.socket(socket.AF_INET6) as listening:
        try:
            listening.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        config = ServeConfig(model="m", host="::1", certificate="c", key="k")
        port = listening.getsockname()[1]
        assert access.url(config, listening) == f"https://[::1]:{port}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"short\n", "must hold one line of 16 or more ASCII characters without spaces: write"),
        (b"", "must hold one line"),
        (b"0123456789\x000123456789", "must hold one line"),
        (b"two words that are long", "must hold one line"),
        ("ein Schlüssel".encode() * 2, "must hold one line"),
        (b"\xff" * 20, "is not a text file"),
    ],
)
def test_a_bad_token_is_refused_without_showing_it(tmp_path, text, problem):
    (tmp_path / "token").write_bytes(text)
    with pytest.raises(UserError, match=f"`token_file=.*token` {problem}") as error:
        access.read_token(str(tmp_path / "token"))
    assert text.strip() == b"" or text.strip() not in str(error.value).encode()


def test_a_token_is_read_without_its_line_end_and_compared(tmp_path):
    file = tmp_path / "token"
    file.write_text("  0123456789abcdef\n")
    file.chmod(0o644)
    assert access.is_readable_by_others(str(file))
    file.chmod(0o600)
    assert not access.is_readable_by_others(str(file))
    token = access.read_token(str(file))
    assert access.is_same(token, "0123456789abcdef")
    assert not access.is_same(token, "0123456789abcdeg")
    assert not access.is_same(token, "é")
    with pytest.raises(UserError, match="`token_file=.*none` cannot be read: No such file"):
        access.read_token(str(tmp_path / "none"))


def make_certificate(folder, *options):
    """Write cert.pem and key.pem, as the documentation says; return their paths."""
    folder.mkdir()
    files = [str(folder / "cert.pem"), str(folder / "key.pem")]
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -days 2 "
        "-subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    arguments = ["-out", files[0], "-keyout", files[1], *(options or ["-nodes"])]
    subprocess.run([*command.split(), *arguments], check=True, capture_output=True)
    return files


def test_certificates_that_https_would_not_work_with_are_refused(tmp_path):
    certificate, key = make_certificate(tmp_path / "one")
    access.check_certificate(certificate, key)
    _, other_key = make_certificate(tmp_path / "two")
    _, locked = make_certificate(tmp_path / "locked", "-passout", "pass:secret")
    (tmp_path / "text").write_text("no certificate")
    for files, problem in {
        (certificate, other_key): "are not of each other",
        (key, certificate): "are not a certificate and its private key in PEM files",
        (str(tmp_path / "text"), key): "are not a certificate and its private key",
    }.items():
        with pytest.raises(UserError, match=f"`certificate=.*` and `key=.*` {problem}") as error:
            access.check_certificate(*files)
        assert isinstance(error.value.__cause__, ssl.SSLError)
    with pytest.raises(UserError, match=r"`key=.*locked/key\.pem` is encrypted: give one without"):
        access.check_certificate(certificate, locked)
    with pytest.raises(UserError, match=r"`key=.*none` cannot be read: No such file"):
        access.check_certificate(certificate, str(tmp_path / "none"))
