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
        (form((TEXT, b"x")), FORM, "has 0 files: send one file, as curl -F file=@a.wav does"),
        (form((FILE, b"x"), (FILE, b"y")), FORM, "has 2 files"),
        (form((FILE, b"x"))[:-9], FORM, "is cut off, or no form at all"),
        (b"RIFF", FORM, "is cut off, or no form at all"),
        (b"", FORM, "is cut off, or no form at all"),
        (b"--abc", FORM, "is cut off, or no form at all"),
        (b"--abc--", FORM, "has 0 files"),
    ],
)
def test_malformed_forms_are_refused(body, content_type, problem):
    with pytest.raises(RequestError, match=f"the form {problem}") as error:
        file_of_form(body, content_type)
    assert error.value.status == 400
