"""What an agent remembers by key, as a record of the compacted topic it is kept in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import orjson
from headgate_runtime.errors import ConfigurationError, RejectedError, UndecodableError

if TYPE_CHECKING:
    from headgate_schemas.agent import Memory

    from headgate_enricher.enrichment import ValueEncoder
    from headgate_enricher.intake import ValueDecoder

_refuse_nan = json.JSONEncoder(allow_nan=False).encode


class MemoryCodec:
    """Writes and reads ``enricher_memory`` records; what is in ``state`` is the agent's own.

    Args:
        agent: Name of the agent.
        encoder: Encodes the record.
        decoder: Decodes it.
    """

    def __init__(self, agent: str, encoder: ValueEncoder, decoder: ValueDecoder) -> None:
        self._agent = agent
        self._encode = encoder.encode
        self._decode = decoder.decode

    def dump(self, state: Memory) -> bytes:
        """Encode a memory.

        Raises:
            RejectedError: It is no JSON; the text says that the agent has to be mended.
        """
        try:
            written = orjson.dumps(state)
            if b"null" in written:
                _refuse_nan(state)  # orjson takes what is no number for a null
            return self._encode({"agent": self._agent, "state": written})
        except (TypeError, ValueError) as error:
            raise RejectedError(f"The memory of agent {self._agent} is no JSON ({error}); mend the agent.") from error

    def load(self, value: bytes) -> Memory:
        """Decode a memory.

        Raises:
            ConfigurationError: The record is none; the text says what to do.
        """
        try:
            state: Memory = orjson.loads(self._decode(value)["state"])
        except (UndecodableError, ValueError) as error:
            raise ConfigurationError(
                f"A memory of agent {self._agent} cannot be read ({error}). Register the topic's schema again, or "
                f"delete the topic's records and accept that the agent has forgotten."
            ) from error
        return state
