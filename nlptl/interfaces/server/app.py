"""Application of the server: its paths, over classifiers that are loaded.

Errors are {"error": {"code", "message"}} with one sentence. /openapi.json describes all paths; FastAPI's own pages about them are
off, since they load scripts from elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from nlptl import __version__
from nlptl.interfaces.server.documents import ErrorBody, HealthBody, ModelBody, PredictAnswer, PredictBody
from nlptl.interfaces.server.gate import CLIENT_GONE, Gate, Receive, Scope, Send, whole_body
from nlptl.interfaces.server.loaded_model import Device, LoadedModel
from nlptl.interfaces.server.page_routes import FILE_PATHS, PAGE_PATHS, page_router
from nlptl.interfaces.server.prediction_request import PredictionRequest, quoted, wrong_field
from nlptl.interfaces.server.refusal import ClientGone, RequestRefused, internal
from nlptl.interfaces.server.reloading import RunWatch, watch
from nlptl.interfaces.server.served_model import ServedModel
from nlptl.interfaces.server.server_metrics import ServerMetrics
from nlptl.interfaces.server.server_settings import ServerSettings
from nlptl.interfaces.terminal import remark

OPEN_PATHS = ("/health", *PAGE_PATHS)  # which need no key
ERRORS = {
    400: "The body is no JSON in UTF-8.", 401: "The key is missing or wrong.", 404: "There is no such model.",
    408: "The body did not arrive in time.", 413: "The body, the texts or one text is too large.",
    422: "A field is missing, unknown or wrong.", 429: "The queue is full; Retry-After says when to come again.",
    501: "This server cannot do that.", 504: "The answer was not ready in time.",
}  # fmt: skip


class PredictionServer:
    """Served models under their names, and what a request to them needs."""

    def __init__(self, models: Mapping[str, LoadedModel], settings: ServerSettings) -> None:
        self.settings, self.metrics = settings, ServerMetrics()
        self.served = {name: ServedModel(name, model, settings, self.metrics) for name, model in models.items()}

    def model(self, name: str | None) -> ServedModel:
        """Return a served model. Raises RequestRefused for an unknown name, or none where there are several."""
        if name is None and len(self.served) == 1:
            return next(iter(self.served.values()))
        known = ", ".join(self.served)
        if name is None:
            raise wrong_field(f"model: is missing; expected one of {known}. Name it.")
        if name not in self.served:
            raise RequestRefused(
                404, "unknown_model", f"model: found {quoted(name)}; the models are {known}. Correct it."
            )
        return self.served[name]

    async def predict(self, receive: Receive) -> bytes:
        """Return the answer to the body of /predict. Raises RequestRefused, or ClientGone where nobody waits for it."""
        request = PredictionRequest.parse(await whole_body(receive), self.settings)
        served = self.model(request.model)
        try:
            async with WhileConnected(receive), asyncio.timeout(self.settings.timeout):
                answer = await served.current.answer(request)
        except TimeoutError:
            raise RequestRefused(
                504, "too_late", f"The answer was not ready within {self.settings.timeout:g} s. Send fewer texts."
            ) from None
        if self.settings.log_texts:
            for text in request.texts:
                remark(f"{served.name}: {text}", wrap=False)  # broken, its parts would look like lines of the server
        return answer

    async def note_queues(self) -> None:
        """Note how many texts wait, for ever: another worker may be asked for the metrics of all."""
        while True:
            self.note_queue()
            await asyncio.sleep(1)

    def note_queue(self) -> None:
        """Note how many texts wait now."""
        for name, served in self.served.items():
            self.metrics.waiting_is(name, served.current.labels.texts_waiting)


class WhileConnected:
    """Block that is cancelled when the client closes its connection; then it raises ClientGone."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._is_gone = receive, False

    async def __aenter__(self) -> None:
        """Begin to watch the connection."""
        self._task = asyncio.current_task()
        self._watch = asyncio.ensure_future(self._wait())

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        """End the watch."""
        self._watch.cancel()
        if kind is asyncio.CancelledError and self._is_gone and self._task is not None:
            self._task.uncancel()
            raise ClientGone

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._is_gone = True
        if self._task is not None:
            self._task.cancel()


class GatedApp(FastAPI):
    """FastAPI behind a gate, which stands in front of its own layers."""

    gate: Gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request through the gate."""
        await self.gate(scope, receive, send)

    async def ungated(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request that has passed the gate."""
        await super().__call__(scope, receive, send)


def create_app(
    models: Mapping[str, LoadedModel], settings: ServerSettings | None = None, *,
    runs: Mapping[str, Path] | None = None, device: Device = "auto",
) -> FastAPI:  # fmt: skip
    """Return the application that serves classifiers by name. Those of `runs` are read again when their run changes."""
    settings = settings or ServerSettings()
    server = PredictionServer(models, settings)
    watches = {
        name: RunWatch(server.served[name], run, device=device, metrics=server.metrics, tell=remark)
        for name, run in (runs or {}).items()
    }

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        tasks = [
            asyncio.ensure_future(watch(watches, seconds=settings.poll)),
            asyncio.ensure_future(server.note_queues()),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for served in server.served.values():
                served.current.close()

    app = GatedApp(
        title="nlptl", version=__version__, description="Classifiers of texts: labels, probabilities, explanations.",
        docs_url=None, redoc_url=None, lifespan=lifespan,
    )  # fmt: skip
    _add_paths(app, server)
    app.include_router(page_router(server.served, settings, model=server.model))
    _add_error_answers(app)
    paths = [*app.openapi()["paths"], "/openapi.json", *PAGE_PATHS]
    app.gate = Gate(
        app.ungated, settings, server.metrics, direct={"/predict": server.predict}, paths=paths, open_paths=OPEN_PATHS,
        file_paths=FILE_PATHS, tell=remark,
    )  # fmt: skip
    return app


def _add_paths(app: FastAPI, server: PredictionServer) -> None:
    errors: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorBody, "description": description} for status, description in ERRORS.items()
    }
    body = {"content": {"application/json": {"schema": PredictBody.model_json_schema()}}, "required": True}

    @app.post(
        "/predict", response_model=PredictAnswer, responses=errors, openapi_extra={"requestBody": body},
        summary="Label texts", description="Predict the label of one text or of many, in their order.",
    )  # fmt: skip
    async def predict(request: Request) -> Response:
        return Response(await server.predict(request.receive), media_type="application/json")

    @app.get("/models", response_model=list[ModelBody], summary="List the models", responses={401: errors[401]})
    async def models() -> JSONResponse:
        return JSONResponse([served.description() for served in server.served.values()])

    @app.head("/health", include_in_schema=False)
    @app.get("/health", response_model=HealthBody, summary="Tell whether the server answers")
    async def health() -> JSONResponse:
        models = {
            name: {"version": served.current.model.version, "reload_failed": served.failure}
            for name, served in server.served.items()
        }
        return JSONResponse({"status": "ok", "models": models})

    @app.get("/metrics", summary="Tell metrics for Prometheus", responses={401: errors[401]})
    async def metrics() -> Response:
        server.note_queue()
        return Response(server.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_error_answers(app: FastAPI) -> None:
    """Answer faults that FastAPI finds as all others."""

    def answer(refusal: RequestRefused) -> Response:
        headers = {name.decode(): value.decode() for name, value in refusal.raw_headers()}
        return Response(refusal.body(), refusal.status, headers)

    @app.exception_handler(RequestRefused)
    async def of_a_request(request: Request, refusal: RequestRefused) -> Response:
        return answer(refusal)

    @app.exception_handler(ClientGone)
    async def of_a_client(request: Request, error: ClientGone) -> Response:
        return Response(status_code=CLIENT_GONE)

    @app.exception_handler(Exception)
    async def of_the_server(request: Request, error: Exception) -> Response:
        return answer(internal())

    @app.exception_handler(HTTPException)
    async def of_the_framework(request: Request, error: HTTPException) -> Response:
        path, method = request.url.path, request.method
        if error.status_code == 404:
            known = ", ".join(sorted(app.openapi()["paths"]))
            return answer(RequestRefused(404, "not_found", f"There is no path {quoted(path)}. The paths are {known}."))
        if error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "another method")
            return answer(
                RequestRefused(
                    405, "wrong_method", f"{path} does not take {quoted(method)}. Send {allowed}.",
                    headers={"allow": allowed},
                )
            )  # fmt: skip
        return answer(RequestRefused(error.status_code, "refused", str(error.detail).rstrip(".") + "."))

    @app.exception_handler(RequestValidationError)
    async def of_a_parameter(request: Request, error: RequestValidationError) -> Response:
        fault = error.errors()[0]
        name = ".".join(str(part) for part in fault["loc"][1:]) or "body"
        return answer(wrong_field(f"{name}: {fault['msg']}. Correct it."))
