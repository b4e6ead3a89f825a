"""How evidence shows a value."""

from __future__ import annotations

_VALUE_CHARS = 40


def shown(value: object) -> str:
    """A value as evidence has it: short, numbers without needless digits, booleans as JSON has them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)[:_VALUE_CHARS]
