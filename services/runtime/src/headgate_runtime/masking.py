"""Settings as they may be shown: without what is secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pydantic import BaseModel

MASK: Final = "********"

_SECRET_NAME: Final = re.compile(
    r"password|passwd|secret|token|credential|private|api[-_.]?key|access[-_.]?key|jaas|oauthbearer|authorization|user\.info|\.pem$",
    re.IGNORECASE,
)
_USER_IN_URL: Final = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def masked(settings: BaseModel) -> dict[str, Any]:
    """Return settings in JSON form; strings under a secret's name and credentials in addresses are masked."""
    return {name: _mask(name, value) for name, value in settings.model_dump(mode="json").items()}


def _mask(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {inner: _mask(inner, content) for inner, content in value.items()}
    if isinstance(value, list):
        return [_mask(name, item) for item in value]
    if not isinstance(value, str):
        return value
    if _SECRET_NAME.search(name) and not name.endswith(("_file", ".location")):
        return MASK
    return _USER_IN_URL.sub(MASK, value)
