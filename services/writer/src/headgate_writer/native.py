"""Which decoder this installation has: the native one where it was built, else fastavro alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headgate_writer.columnar import MakeNative


def installed_decoder() -> tuple[str, MakeNative | None]:
    """Return the decoder's name and version, and what makes the native one; None where it is not installed."""
    try:
        import headgate_avro  # noqa: PLC0415 - optional
    except ImportError:
        return "fastavro", None
    return f"native {headgate_avro.__version__}", headgate_avro.Decoder
