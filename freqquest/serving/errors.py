"""Errors of requests: one JSON object each. No Ray."""

from collections.abc import Mapping


class RequestError(Exception):
    """A request that gets no answer. The text says what is wrong, the value, the limit, the fix."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        """Describe the error.

        Args:
            status: HTTP status.
            code: Word for programs.
            message: Sentence for people.
            headers: Further headers of the response.
        """
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers

    @property
    def content(self) -> dict[str, object]:
        """The JSON object."""
        return {"error": {"code": self.code, "message": str(self)}}


def too_large(max_bytes: int, actual: int | None = None) -> RequestError:
    """Return the error for an upload above the limit, of a size that is known or not."""
    size = f"of {actual / 1e6:.1f} MB is" if actual else "is"
    return RequestError(
        413,
        "too_large",
        f"the upload {size} larger than {max_bytes / 1e6:g} MB, the limit of this service: send "
        "a shorter recording or a compressed one, or use the detect job for long recordings",
    )


def too_slow(time_limit_s: float, done: str) -> RequestError:
    """Return the error for a request that was not answered in time."""
    return RequestError(
        408,
        "timeout",
        f"{done} within {time_limit_s:g} s, the limit of this service: send a shorter recording, "
        "try again when it is less busy, or use the detect job",
        {"Connection": "close"},
    )


def busy(problem: str) -> RequestError:
    """Return the error for a request that there is no room for now."""
    return RequestError(503, "busy", f"{problem}: try again in a few seconds", {"Retry-After": "3"})
