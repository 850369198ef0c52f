import time

import jsonschema
import pytest

from freqquest.serving import app as app_module
from freqquest.serving.app import create_app
from freqquest.serving.errors import RequestError, busy
from tests.serving.conftest import MODEL, TOKEN, FakeService, send

FORM = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n%s\r\n--x--'


@pytest.fixture
def service():
    return FakeService()


@pytest.fixture
def app(service):
    return create_app(service, MODEL)


def counter(app, name):
    lines = send(app, "GET", "/metrics").body.decode().splitlines()
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith(f"freqquest_{name}")
    }


def test_a_body_of_any_type_or_the_file_of_a_form_is_answered(app):
    for headers in ({}, {"content_type": "audio/webm"}, {"content_type": "text/plain"}):
        reply = send(app, "POST", "/classify", [b"ab", b"", b"cde"], **headers)
        assert reply.status == 200
        assert reply.headers["content-type"] == "application/json"
        assert reply.json == {"length": 5, "spectrogram": False}
    form = {"content_type": "multipart/form-data; boundary=x"}
    reply = send(app, "POST", "/classify?spectrogram=true", [FORM % b"abc"], **form)
    assert reply.json == {"length": 3, "spectrogram": True}


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("GET /none", 404, "not_found"),
        ("POST /classify/", 404, "not_found"),
        ("PUT /classify", 405, "method_not_allowed"),
        ("POST /classify", 400, "empty"),
        ("POST /classify?spectrogram=maybe", 400, "bad_parameter"),
        ("GET /docs", 404, "not_found"),
    ],
)
def test_a_request_that_cannot_be_answered_gets_one_json_error(app, path, status, code):
    reply = send(app, *path.split())
    assert (reply.status, reply.error["code"]) == (status, code)
    assert reply.json.keys() == {"error"}
    assert reply.error.keys() == {"code", "message"}


def test_a_wrong_method_is_told_with_the_right_one(app):
    for request, allowed in {"GET /classify": "POST", "POST /model": "GET"}.items():
        method, path = request.split()
        reply = send(app, method, path)
        assert reply.headers["allow"] == allowed
        text = f"{path} does not take {method}, only {allowed}: see /openapi.json"
        assert reply.error["message"] == text
    assert send(app, "POST", "/page/a.js").error["message"].startswith("/page/a.js does not take")
    for path in ("/", "/healthz"):
        assert send(app, "HEAD", path).status == send(app, "GET", path).status == 200


@pytest.mark.parametrize("path", ["/", "/healthz", "/none", "/classify", "/openapi.json"])
def test_no_browser_guesses_the_type_of_an_answer(app, path):
    assert send(app, "GET", path).headers["x-content-type-options"] == "nosniff"
    assert send(app, "GET", path, host="evil.example").headers["x-content-type-options"]


@pytest.mark.parametrize("route", ["GET /healthz", "GET /", "GET /page/page.js", "POST /classify"])
def test_pages_of_other_sites_cannot_reach_a_service_without_a_token(service, route):
    own = create_app(service, MODEL, host="127.0.0.5")
    for host in ("evil.example", "localhost.evil.example:8000", "127.0.0.6", "", "localhost:a"):
        reply = send(own, *route.split(), [b"x"], host=host)
        assert (reply.status, reply.error["code"]) == (400, "bad_host")
        assert reply.error["message"].startswith(f"Host={host}: the service has no such name")
    for host in ("localhost", "LOCALHOST:8000", "127.0.0.1:80", "[::1]:8000", "127.0.0.5:1"):
        assert send(own, *route.split(), [b"x"], host=host).status != 400
    by_ipv6 = create_app(service, MODEL, host="::1")
    assert send(by_ipv6, *route.split(), [b"x"], host="[::1]").status != 400
    guarded = create_app(service, MODEL, token=TOKEN, host="0.0.0.0")
    assert send(guarded, *route.split(), [b"x"], host="evil.example").status != 400


def test_an_upload_is_counted_while_it_streams_whatever_its_header_says(app):
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield b"x" * 300

    assert send(app, "POST", "/classify", [b"x" * 1000]).status == 200
    for headers in ({}, {"content_length": "10"}, {"content_length": "many"}):
        taken.clear()
        reply = send(app, "POST", "/classify", endless(), **headers)
        assert (reply.status, reply.error["code"]) == (413, "too_large")
        assert len(taken) == 4, "the fourth chunk of 300 is above the limit of 1000"
    taken.clear()
    reply = send(app, "POST", "/classify", endless(), content_length="2000000")
    assert reply.error["message"].startswith("the upload of 2.0 MB is larger than 0.001 MB")
    assert not taken, "an honest header is refused at once"
    assert counter(app, "upload_bytes") == {"freqquest_upload_bytes": 0}


def test_all_uploads_together_have_a_limit(service, monkeypatch):
    monkeypatch.setattr("freqquest.serving.uploads._ROOM", 0.5)
    app = create_app(service, MODEL)
    reply = send(app, "POST", "/classify", [b"x" * 300] * 3)
    assert (reply.status, reply.error["code"]) == (503, "busy")
    assert reply.headers["retry-after"] == "3"
    assert send(app, "POST", "/classify", [b"x" * 300]).status == 200
    monkeypatch.setattr("freqquest.serving.uploads._MOST_AT_ONCE", 0)
    assert "0 requests are being answered" in send(app, "POST", "/classify").error["message"]


def test_a_slow_upload_and_a_slow_answer_end_at_the_time_limit(service):
    app = create_app(service, MODEL.model_copy(update={"time_limit_s": 0.2}))
    started = time.monotonic()
    reply = send(app, "POST", "/classify", [b"x"], end="silence")
    assert (reply.status, reply.error["code"]) == (408, "timeout")
    assert reply.error["message"].startswith("the upload did not end within 0.2 s")
    service.takes_s = 50
    reply = send(app, "POST", "/classify", [b"x"])
    assert reply.status == 408
    assert reply.error["message"].startswith("the recording was not heard within 0.2 s, the limit")
    assert "detect job" in reply.error["message"]
    assert service.num_cancelled == 1
    assert time.monotonic() - started < 20
    assert counter(app, "upload_bytes") == {"freqquest_upload_bytes": 0}


def test_a_cut_off_upload_and_a_client_that_goes_away_leave_nothing(service):
    app = create_app(service, MODEL)
    send(app, "POST", "/classify", [b"x"], end="gone")
    assert service.num_cancelled == 0

    def go_away():
        yield {"type": "http.request", "body": b"x", "more_body": False}
        yield {"type": "http.disconnect"}

    service.takes_s = 50
    send(app, "POST", "/classify", messages=go_away())
    assert service.num_cancelled == 1
    assert counter(app, "requests_total") == {
        'freqquest_requests_total{path="/classify",status="499"}': 2
    }
    assert counter(app, "upload_bytes") == {"freqquest_upload_bytes": 0}


def test_errors_of_replicas_are_passed_on_and_faults_show_no_traceback(service, caplog):
    app = create_app(service, MODEL)
    service.error = RequestError(422, "not_audio", "the file cannot be read: no sound")
    assert send(app, "POST", "/classify", [b"x"]).status == 422
    service.error = busy("128 requests wait")
    assert send(app, "POST", "/classify", [b"x"]).status == 503
    service.error = TimeoutError()
    assert send(app, "POST", "/classify", [b"x"]).status == 408
    service.error = KeyError("/secret/path")
    reply = send(app, "POST", "/classify", [b"x"])
    assert (reply.status, reply.error["code"]) == (500, "failed")
    assert b"secret" not in reply.body
    assert "/secret/path" in caplog.text


def test_a_token_is_asked_for_before_a_body_is_read(service):
    app = create_app(service, MODEL, token=TOKEN)
    for given, word in {
        None: "missing",
        "Bearer wrong": "wrong",
        f"Basic {TOKEN}": "missing",
    }.items():
        headers = {} if given is None else {"authorization": given}
        for route in ("POST /classify", "GET /model", "GET /metrics"):
            reply = send(app, *route.split(), [b"x"], end="silence", **headers)
            assert (reply.status, reply.error["code"]) == (401, "unauthorized")
            assert reply.headers["www-authenticate"] == "Bearer"
            assert reply.error["message"].startswith(f"the token is {word}")
    right = {"authorization": f"Bearer {TOKEN}"}
    assert send(app, "POST", "/classify", [b"x"], **right).status == 200
    assert send(app, "GET", "/model", **right).json == MODEL.model_dump()
    assert send(app, "GET", "/metrics", **right).status == 200
    assert send(app, "GET", "/healthz").json == {"status": "ok"}
    assert send(app, "GET", "/openapi.json").status == 200


def test_the_health_is_that_of_the_replicas(app, service):
    assert send(app, "GET", "/healthz").status == 200
    service.is_up = False
    assert send(app, "GET", "/healthz").error["code"] == "busy"


def test_the_page_and_its_files_are_served_without_a_token(service, tmp_path, monkeypatch):
    monkeypatch.setattr(app_module, "files", lambda package: tmp_path)
    app = create_app(service, MODEL, token=TOKEN)
    assert send(app, "GET", "/").status == 404
    (tmp_path / "page").mkdir()
    assert send(app, "GET", "/page/a.js").error["code"] == "not_found"
    (tmp_path / "page" / "a.js").write_text("1")
    assert send(app, "GET", "/page/a.js").body == b"1"
    assert send(app, "GET", "/page/../config.py").status == 404
    (tmp_path / "page.html").write_text("<title>é</title>", encoding="utf-8")
    reply = send(app, "GET", "/")
    assert reply.body.decode() == "<title>é</title>"
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in reply.headers["content-security-policy"]


def test_requests_are_counted_by_path_and_status(app):
    send(app, "POST", "/classify", [b"x"])
    send(app, "POST", "/classify")
    for number in range(3):
        send(app, "GET", f"/{number}")
    assert counter(app, "requests_total") == {
        'freqquest_requests_total{path="/classify",status="200"}': 1,
        'freqquest_requests_total{path="/classify",status="400"}': 1,
        'freqquest_requests_total{path="other",status="404"}': 3,
    }
    assert counter(app, "audio_seconds_total") == {"freqquest_audio_seconds_total": 2.5}
    assert counter(app, "windows_total") == {"freqquest_windows_total": 3}
    counts = counter(app, "request_seconds_count")
    assert counts['freqquest_request_seconds_count{path="/classify"}'] == 2
    assert counter(app, "requests_in_progress") == {"freqquest_requests_in_progress": 1}


@pytest.mark.parametrize("token", [None, TOKEN])
def test_the_openapi_description_tells_bodies_errors_and_the_token(service, token):
    app = create_app(service, MODEL, token=token)
    api = send(app, "GET", "/openapi.json").json
    assert set(api["paths"]) == {"/classify", "/model", "/healthz", "/metrics"}
    classify = api["paths"]["/classify"]["post"]
    errors = {"400", "408", "413", "422", "500", "503"} | ({"401"} if token else set())
    assert set(classify["responses"]) == {"200", *errors}
    schema = {"$ref": "#/components/schemas/ErrorAnswer"}
    for path in api["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                is_error = response["content"].get("application/json", {}).get("schema") == schema
                assert is_error == (status != "200")
    assert list(api["paths"]["/metrics"]["get"]["responses"]["200"]["content"]) == ["text/plain"]
    assert set(classify["requestBody"]["content"]) >= {"audio/*", "multipart/form-data"}
    assert ("security" in classify) == (token is not None)
    assert "security" not in api["paths"]["/healthz"]["get"]
    error = send(app, "GET", "/none").json
    jsonschema.validate(error, schema | {"components": api["components"]})
