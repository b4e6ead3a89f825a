"""Settings of a replay."""

from __future__ import annotations

from headgate_runtime.config import SettingsGroup
from pydantic import Field


class ReplaySettings(SettingsGroup):
    """Settings of a replay, as ``HEADGATE_ENRICHER_REPLAY__<NAME>``; ``headgate replay`` gives them.

    Attributes:
        topic: Topic of what is decided again. What goes with it is in ``<topic>.dlq``, ``.progress`` and ``.memory``, and
            in ``.results`` where models are asked.
        ends: Offsets at which the replay ends, by partition number of the decided events, as JSON.
        most_microdollars: Ask models, and pay so many millionths of a US dollar at most; None takes recorded answers only.
    """

    topic: str | None = None
    ends: dict[int, int] = Field(default_factory=dict)
    most_microdollars: int | None = Field(default=None, ge=0)

    @property
    def recorded(self) -> bool:
        """Whether no model is asked."""
        return self.most_microdollars is None
