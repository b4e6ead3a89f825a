"""Grey events on their way to the model, each with the profile of its key."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from headgate_runtime.closing import closing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headgate_schemas.agent import GreyCase

    from headgate_enricher.model_thread import ModelCalls
    from headgate_enricher.profiles.following import Profiles
    from headgate_enricher.work import Answer, Work


class ProfiledModel:
    """Looks the profile up when an event is handed over, so that one that no model is asked about costs nothing.

    Implements ``model_thread.ModelCalls``.

    Args:
        model: Where the events go.
        profiles: The profiles.
    """

    def __init__(self, model: ModelCalls, profiles: Profiles) -> None:
        self._model = model
        self._profiles = profiles

    def submit(self, work: Work, case: GreyCase) -> None:
        """Start to ask the model about an event."""
        profile = self._profiles.of(work.partition.source, work.record.key)
        self._model.submit(work, case if profile is None else dataclasses.replace(case, profile=profile))

    def cancel(self, works: Iterable[Work]) -> None:
        """Stop asking about events."""
        self._model.cancel(works)

    def collect(self) -> list[tuple[Work, Answer]]:
        """The answers that have come; and follow the profiles a step, as this is asked in each turn of the loop."""
        self._profiles.follow()
        return self._model.collect()

    def close(self) -> None:
        """Stop asking, and let go of the profiles' connection."""
        with closing(self._profiles.close, "profiles"):
            self._model.close()
