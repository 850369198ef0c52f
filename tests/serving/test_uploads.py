import time

import pytest

from freqquest.serving.errors import RequestError
from freqquest.serving.uploads import file_of_form

FORM = "multipart/form-data; boundary=abc"
FILE = b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav'
TEXT = b'Content-Disposition: form-data; name="title"'


def form(*parts, begin=b"--abc", end=b"--\r\n"):
    return b"".join(
        begin + b"\r\n" + head + b"\r\n\r\n" + body + b"\r\n" for head, body in parts
    ) + (b"--abc" + end)


@pytest.mark.parametrize(
    "content", [b"", b"\r\n", b"x--abc", b"\r\n--ab\r\n\r\n", bytes(range(256))]
)
def test_the_file_of_a_form_is_found_byte_by_byte(content):
    assert file_of_form(form((FILE, content)), FORM) == content
    assert file_of_form(form((TEXT, b"x"), (FILE, content), (TEXT, b"y")), FORM) == content
    assert file_of_form(b"preamble\r\n" + form((FILE, content)) + b"after", FORM) == content
    quoted = 'multipart/form-data; charset=utf-8; boundary="abc"'
    assert file_of_form(form((FILE, content)), quoted) == content


@pytest.mark.parametrize(
    ("body", "content_type", "problem"),
    [
        (form((FILE, b"x")), "multipart/form-data", "has no boundary"),
        (form((FILE, b"x")), "multipart/form-data; boundary*=idna''a", "has no boundary"),
        (form(*[(TEXT, b"x")] * 101, (FILE, b"x")), FORM, "has more than 100 fields"),
        (form((TEXT + b"x" * 8192, b"x")), FORM, "has a field without headers that end within"),
        (b"--abc\r\nno headers\r\n--abc--", FORM, "has a field without headers"),
        (form((TEXT, b"x")), FORM, "has no file: send one file, as curl -F file=@a.wav does"),
        (form((FILE, b"x"), (FILE, b"y")), FORM, "has more than one file"),
        (form((FILE, b"x"))[:-9], FORM, "is cut off, or no form at all"),
        (b"RIFF", FORM, "is cut off, or no form at all"),
        (b"", FORM, "is cut off, or no form at all"),
        (b"--abc", FORM, "is cut off, or no form at all"),
        (b"--abc--", FORM, "has no file"),
    ],
)
def test_malformed_forms_are_refused(body, content_type, problem):
    with pytest.raises(RequestError, match=f"the form {problem}") as error:
        file_of_form(body, content_type)
    assert error.value.status == 400


@pytest.mark.parametrize(
    "head",
    [
        b'content-disposition:form-data;name="a";filename=a',
        b"Content-Type: audio/wav\r\nContent-Disposition: form-data; filename*=idna''a",
        b"Content-Disposition: form-data; filename*=x'y'%ff",
        b'Content-Disposition: attachment; filename=""',
    ],
)
def test_a_file_may_have_any_name(head):
    assert file_of_form(form((head, b"x")), FORM) == b"x"
    with pytest.raises(RequestError, match="has no file"):
        file_of_form(form((head.replace(b"filename", b"name"), b"x")), FORM)


@pytest.mark.parametrize(
    "body",
    [
        b'--abc\r\nContent-Disposition: form-data; name="f"' + b";" * 20_000_000,
        form((b"Content-Disposition: form-data" + b"; " * 1_000_000, b"x")),
        form(*[(b"Content-Disposition:" + b"; " * 4000, b"x")] * 2500),
        form(*[(b"Content-Disposition:\r\n" * 370, b"x")] * 2500),
        form(*[(TEXT, b"")] * 400_000),
        form(*[(FILE, b"")] * 250_000),
        b"--abc\r\n" * 2_500_000,
        b"\r\n--ab" * 3_300_000,
    ],
)
def test_hostile_forms_are_refused_at_once(body):
    started = time.perf_counter()
    with pytest.raises(RequestError):
        file_of_form(body, FORM)
    with pytest.raises(RequestError):
        file_of_form(body[:20_000_000] + b"\r\n--abc--", FORM + " ;" * 30_000)
    assert time.perf_counter() - started < 2
