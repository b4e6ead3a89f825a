"""Imports that libraries of every service put off until they are first used; a worker would make them again and again."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from fastapi import FastAPI

_TRANSPORTS: Final = ("httpcore", "uvicorn.protocols.http.auto")  # httpx's and uvicorn's


def import_put_off() -> None:
    """Import them now; opens nothing."""
    for name in _TRANSPORTS:
        import_module(name)
    FastAPI().add_api_route("/", _answer)  # looks for models of Pydantic's first version, a package of its own


def _answer() -> str:
    return "nobody asks"
