"""A profile as it is kept with the answers of the models that saw it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from headgate_schemas.agent import Window

if TYPE_CHECKING:
    from headgate_schemas.agent import Profile


def written(profile: Profile | None) -> str | None:
    """A profile as JSON."""
    return None if profile is None else orjson.dumps(profile).decode()


def read(text: str | None) -> Profile | None:
    """The very profile that was written."""
    return None if text is None else {name: Window(**window) for name, window in orjson.loads(text).items()}
