"""The HTTP application: tokens, limits, answers and errors. No Ray: replicas are behind a protocol.

Starlette's `Request` is passed to FastAPI, so that bodies are read here, and counted.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Annotated, Protocol, TypeVar

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.staticfiles import StaticFiles

from freqquest.serving import schemas
from freqquest.serving.access import OwnNames, is_same
from freqquest.serving.answers import Answer
from freqquest.serving.errors import RequestError, busy, too_slow
from freqquest.serving.metered import Metered
from freqquest.serving.metrics import Metrics
from freqquest.serving.uploads import Uploads

_Result = TypeVar("_Result")

_CLIENT_GONE = 499
"""Status in the metrics of a request whose client went away; nobody receives it."""

_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "audio/*": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "string", "format": "binary"}},
                    "required": ["file"],
                }
            },
        },
    }
}
"""Bodies of `POST /classify`, in OpenAPI: any other type is taken for a file, too."""

_ERRORS = {
    400: "The body is empty, a form is malformed, or a parameter has a wrong value",
    401: "The token is missing or wrong",
    408: "The upload, or the answer to it, took too long",
    413: "The upload is too large",
    422: "The file is not audio, or it is corrupt",
    500: "A fault of the service",
    503: "The service is busy, or it starts again: try again after `Retry-After` seconds",
}


_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may load: nothing from other hosts, and nothing inline."""


class Service(Protocol):
    """All that the application asks of the replicas."""

    async def answer(self, body: bytes, with_spectrogram: bool) -> Answer:
        """Return the answer for a file.

        Raises:
            RequestError: There is none.
            TimeoutError: The time limit is over.
        """

    async def is_healthy(self) -> bool:
        """Return whether there is a replica that answers."""


def create_app(
    service: Service, model: schemas.Model, token: str | None = None, host: str = "127.0.0.1"
) -> Metered:
    """Return the application.

    Args:
        service: The replicas.
        model: The model and the limits.
        token: Token that requests must carry, unless they only ask for the page or the health.
        host: Address that the application listens on. Without a token, it answers no other name.
    """
    app = FastAPI(
        title="freqquest",
        summary="Classes and events of sounds",
        version=model.version,
        docs_url=None,  # these pages load scripts from other hosts
        redoc_url=None,
        redirect_slashes=False,
    )
    if token is None:
        app.add_middleware(OwnNames, host=host)
        guarded = APIRouter()
    else:
        guarded = APIRouter(
            dependencies=[Depends(_required_token(token))], responses=_responses(401)
        )
    uploads, metrics = Uploads(model.max_bytes), Metrics()
    _add_classify(guarded, service, model.time_limit_s, uploads, metrics)
    _add_descriptions(guarded, model, uploads, metrics)
    app.include_router(guarded)
    _add_health(app, service)
    _add_page(app)
    _add_error_handlers(app)
    return Metered(app, metrics)


def _add_classify(
    router: APIRouter, service: Service, time_limit_s: float, uploads: Uploads, metrics: Metrics
) -> None:
    @router.post(
        "/classify",
        response_model=schemas.Classified,
        responses=_responses(400, 408, 413, 422, 500, 503),
        openapi_extra=_BODY,
    )
    async def classify(request: Request, spectrogram: bool = False) -> Response:
        """Classify an audio file of any format, and find its events."""
        try:
            answer = await _answer(request, service, uploads, time_limit_s, spectrogram)
        except ClientDisconnect:
            return Response(status_code=_CLIENT_GONE)
        metrics.audio_seconds.inc(answer.duration_s)
        metrics.windows.inc(answer.num_windows)
        return Response(answer.content, media_type="application/json")


def _add_descriptions(
    router: APIRouter, model: schemas.Model, uploads: Uploads, metrics: Metrics
) -> None:
    @router.get("/model")
    async def describe_model() -> schemas.Model:
        """Return the classes of the model, and the limits of the service."""
        return model

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def show_metrics() -> Response:
        """Return the counters of the service, as Prometheus reads them."""
        metrics.upload_bytes.set(uploads.num_bytes)
        return Response(metrics.text, media_type=metrics.content_type)


def _add_health(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", responses=_responses(503))
    @app.head("/healthz", include_in_schema=False)
    async def check_health() -> schemas.Health:
        """Return whether the service answers."""
        if not await service.is_healthy():
            raise busy("no replica answers now")
        return schemas.Health(status="ok")


def _add_page(app: FastAPI) -> None:
    """Serve the page, and the files that it consists of. It needs no token: it asks for it."""
    folder = files("freqquest.serving")

    @app.api_route(
        "/", methods=["GET", "HEAD"], response_class=HTMLResponse, include_in_schema=False
    )
    async def show_page() -> Response:
        page = folder / "page.html"
        if not page.is_file():
            raise HTTPException(404)
        headers = {"Content-Security-Policy": _PAGE_POLICY}
        return HTMLResponse(page.read_text(encoding="utf-8"), headers=headers)

    app.mount("/page", StaticFiles(directory=str(folder / "page"), check_dir=False))


async def _answer(
    request: Request, service: Service, uploads: Uploads, time_limit_s: float, spectrogram: bool
) -> Answer:
    """Receive the file of a request and return the answer, unless it takes too long."""
    is_received = False
    try:
        async with asyncio.timeout(time_limit_s), uploads.receive(request) as body:
            is_received = True
            return await _while_connected(request, service.answer(body, spectrogram))
    except TimeoutError:
        part = "the recording was not heard" if is_received else "the upload did not end"
        raise too_slow(time_limit_s, part) from None


async def _while_connected(request: Request, result: Awaitable[_Result]) -> _Result:
    """Return a result; cancel it if the client goes away.

    Raises:
        ClientDisconnect: The client has gone.
    """

    async def disconnect() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    waiting, gone = asyncio.ensure_future(result), asyncio.ensure_future(disconnect())
    try:
        await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            raise ClientDisconnect
        return waiting.result()
    finally:
        waiting.cancel()
        gone.cancel()


def _required_token(token: str) -> Callable[..., Awaitable[None]]:
    """Return a dependency that refuses requests without the token, before their body is read."""
    bearer = HTTPBearer(auto_error=False)

    async def require_token(
        given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    ) -> None:
        if given is None or not is_same(token, given.credentials):
            raise RequestError(
                401,
                "unauthorized",
                f"the token is {'missing' if given is None else 'wrong'}: send the header "
                "Authorization: Bearer TOKEN with the token of this service",
                {"WWW-Authenticate": "Bearer"},
            )

    return require_token


def _responses(*statuses: int) -> dict[int | str, dict[str, object]]:
    """Return the errors of a route, for OpenAPI."""
    return {
        status: {"model": schemas.ErrorAnswer, "description": _ERRORS[status]}
        for status in statuses
    }


def _add_error_handlers(app: FastAPI) -> None:
    """Answer every error with one JSON object."""

    @app.exception_handler(RequestError)
    async def refuse(_: Request, error: RequestError) -> Response:
        return JSONResponse(error.content, error.status, error.headers)

    @app.exception_handler(HTTPException)
    async def refuse_route(request: Request, error: HTTPException) -> Response:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "bad_request")
        problem = "does not exist"
        if error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "GET")
            problem = f"does not take {request.method}, only {allowed}"
        message = f"{request.url.path} {problem}: see /openapi.json"
        content = RequestError(error.status_code, code, message).content
        return JSONResponse(content, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def refuse_parameter(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        message = f"{first['loc'][-1]}={first['input']}: {first['msg']}"
        return JSONResponse(RequestError(400, "bad_parameter", message).content, 400)

    @app.exception_handler(Exception)
    async def fail(request: Request, error: Exception) -> Response:
        logging.getLogger(__name__).error("%s failed", request.url.path, exc_info=error)
        message = "the service failed: its log says why; try again, or tell its operator"
        return JSONResponse(RequestError(500, "failed", message).content, 500)
