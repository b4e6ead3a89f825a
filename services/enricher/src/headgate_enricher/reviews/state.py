"""The last revision of each event, as a record of the compacted topic it is kept in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_runtime.errors import ConfigurationError, UndecodableError

from headgate_enricher.reviews.revision import Revision

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


class RevisionCodec:
    """Writes and reads ``review_revision`` records.

    Args:
        encode: Encodes the record.
        decode: Decodes it.
    """

    def __init__(
        self, encode: Callable[[Mapping[str, Any]], bytes], decode: Callable[[bytes | None], Mapping[str, Any]]
    ) -> None:
        self._encode = encode
        self._decode = decode

    def dump(self, state: Revision) -> bytes:
        """Encode a revision."""
        return self._encode(state._asdict())

    def load(self, value: bytes) -> Revision:
        """Decode a revision.

        Raises:
            ConfigurationError: The record is none; the text says what to do.
        """
        try:
            decoded = self._decode(value)
        except UndecodableError as error:
            raise ConfigurationError(
                f"The last revision of an event cannot be read ({error}). Register the schema of the revisions topic again."
            ) from error
        return Revision(decoded["revision"], decoded["outcome_offset"])
