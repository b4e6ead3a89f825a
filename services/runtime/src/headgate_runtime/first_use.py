"""Imports that libraries of every service put off until they are first used; a worker would make them again and again."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI

if TYPE_CHECKING:
    from headgate_runtime.config import ServiceSettings

_TRANSPORTS: Final = ("httpcore", "uvicorn.protocols.http.auto")  # httpx's and uvicorn's


def import_put_off(settings: ServiceSettings) -> None:
    """Import them now, and what the settings ask for; opens nothing."""
    for name in _TRANSPORTS:
        import_module(name)
    if settings.kafka.security == "iam":
        import_module("headgate_runtime.kafka.msk")
    if settings.http.oidc.issuer is not None:
        import_module("headgate_runtime.oidc")
    FastAPI().add_api_route("/", _answer)  # looks for models of Pydantic's first version, a package of its own


def _answer() -> str:
    return "nobody asks"
