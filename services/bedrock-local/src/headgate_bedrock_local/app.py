"""Composition root: builds the endpoint and serves it."""

from __future__ import annotations

import signal
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_settings import SettingsError
from starlette.responses import JSONResponse

from headgate_bedrock_local.admin import admin_router
from headgate_bedrock_local.auth import Authenticator
from headgate_bedrock_local.backends import create_backend
from headgate_bedrock_local.config import Settings
from headgate_bedrock_local.endpoint import Endpoint
from headgate_bedrock_local.llama_backend import BackendError
from headgate_bedrock_local.operations import Connections, Operations
from headgate_bedrock_local.policies import PolicyError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails
    from starlette.requests import Request

_EXIT_CONFIGURATION = 2
_KEEPALIVE_S = 75  # longer than clients keep an idle connection, so that they never send into one being closed


def create_app(settings: Settings) -> Operations:
    """The application: Bedrock's operations on their own paths, the admin calls beside them.

    Raises:
        PolicyError: A policy that is installed cannot be used.
        BackendError: What the backend needs is not installed.
    """
    secrets = {key: secret.get_secret_value() for key, secret in settings.secrets.items()}
    backend = create_backend(settings)
    endpoint = Endpoint(Authenticator(secrets), backend, settings.faults, seed=settings.seed)
    admin = FastAPI(title="Headgate local Bedrock", version=version("headgate-bedrock-local"))
    admin.add_exception_handler(RequestValidationError, _unprocessable)
    admin.include_router(admin_router(endpoint))
    return Operations(endpoint, admin)


async def _unprocessable(_request: Request, error: Exception) -> JSONResponse:
    # FastAPI's own answer repeats the input, and a NaN in it cannot be written as JSON.
    errors = error.errors() if isinstance(error, RequestValidationError) else []
    detail = [{key: problem[key] for key in ("loc", "msg", "type")} for problem in errors]
    return JSONResponse({"detail": detail}, status_code=422)


def _explain(error: ValidationError | SettingsError | PolicyError | BackendError) -> str:
    """Say which setting is wrong and how, in the names of the environment; never its value."""
    if not isinstance(error, ValidationError):
        return str(error)
    faults = error.errors(include_input=False, include_context=False, include_url=False)
    return "\n".join(
        ["set these environment variables right:", *(f"  {_name(each)}: {each['msg']}" for each in faults)]
    )


def _name(fault: ErrorDetails) -> str:
    # What follows the name of a JSON object is part of its value.
    name, *rest = [str(part) for part in fault["loc"]]
    return "HEADGATE_BEDROCK_LOCAL_" + "__".join([name, *rest[:1]] if name in {"faults", "llama"} else [name]).upper()


def main() -> int:
    """Serve until SIGTERM or SIGINT, then let the calls in flight finish; returns the exit code."""
    try:
        settings = Settings()
        app = create_app(settings)
    except (ValidationError, SettingsError, PolicyError, BackendError) as error:
        # No log exists yet.
        sys.stderr.write(f"headgate-bedrock-local cannot start: {_explain(error)}\n")
        return _EXIT_CONFIGURATION
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=Connections,
            host=settings.host,
            port=settings.port,
            log_level=settings.log_level,
            access_log=False,
            timeout_keep_alive=_KEEPALIVE_S,
            timeout_graceful_shutdown=settings.drain_timeout_s,
        )
    )

    def stop(_signal: int, _frame: object) -> None:
        server.should_exit = True

    # The server raises a signal it has handled once more after the drain; this handler makes that exit code 0.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, stop)
    server.run()
    return 0 if server.started else 1
