import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from freqquest.benchmark.chaos_storage import FaultyProxy, fill, small_disk

CONTENT = b"content of the object"


@pytest.fixture
def proxy():
    """A proxy that fails whenever it can, before a server that counts what it hears."""

    class Server(BaseHTTPRequestHandler):
        def answer(self):
            received.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(CONTENT)

        do_GET = do_HEAD = do_PUT = answer  # noqa: N815

        def log_message(self, *_):
            pass

    received = []
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Server) as server,
        FaultyProxy(server.server_port, seed=0) as faulty,
    ):
        faulty.received = received
        faulty.rng.random = lambda: 0.0
        for each in (server, faulty):
            threading.Thread(target=each.serve_forever, daemon=True).start()
        yield faulty
        faulty.shutdown()
        server.shutdown()


def request(proxy, method, body=None):
    client = http.client.HTTPConnection("127.0.0.1", proxy.server_port, timeout=20)
    client.request(method, "/bucket/object", body)
    answer = client.getresponse()
    return answer.status, answer.read()


def test_a_proxy_without_a_fault_passes_everything_on(proxy):
    assert request(proxy, "PUT", b"new") == (200, CONTENT)
    assert proxy.received == [b"new"]
    assert proxy.num_hit == 0


def test_a_body_in_chunks_is_passed_on_whole(proxy):
    assert request(proxy, "PUT", iter([b"first ", b"second"])) == (200, CONTENT)
    assert proxy.received == [b"first second"]


def test_each_fault_is_what_it_says(proxy):
    proxy.fault = "answers 503"
    assert request(proxy, "GET")[0] == 503
    proxy.fault = "breaks off answers"
    with pytest.raises(http.client.IncompleteRead):
        request(proxy, "GET")
    with pytest.raises(http.client.RemoteDisconnected):
        request(proxy, "HEAD")
    proxy.fault = "loses uploads"
    proxy.received.clear()
    with pytest.raises(http.client.RemoteDisconnected):
        request(proxy, "PUT", b"new")
    assert proxy.received == []
    proxy.fault = "is slow"
    assert request(proxy, "GET") == (200, CONTENT)
    assert proxy.num_hit == 5


def test_a_disk_that_is_full_takes_nothing_until_there_is_room(tmp_path):
    with small_disk(tmp_path / "disk") as is_disk:
        if not is_disk:
            pytest.skip("this machine mounts no disk here")
        filler = fill(tmp_path / "disk")
        with pytest.raises(OSError, match="No space left"):
            (tmp_path / "disk" / "file").write_bytes(b"content")
        filler.unlink()
        (tmp_path / "disk" / "file").write_bytes(b"content")
