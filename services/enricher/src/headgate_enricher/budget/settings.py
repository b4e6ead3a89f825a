"""Settings of the budget."""

from __future__ import annotations

from pydantic import BaseModel, Field

from headgate_enricher.budget.limits import LimitTable


class BudgetSettings(BaseModel):
    """Settings of the budget, as ``HEADGATE_ENRICHER_BUDGET__<NAME>``.

    Attributes:
        limits: Limits to start with, as JSON; what an operator sets later counts until a configuration with other limits starts.
        timeout_s: How long a call may wait for its reservation.
        linger_ms: How long entries are gathered before they are sent together.
        checkpoint_entries: Entries after which a replica writes a checkpoint, so that another starts quickly.
    """

    limits: LimitTable = ()
    timeout_s: float = Field(default=2.0, gt=0)
    linger_ms: int = Field(default=2, ge=0)
    checkpoint_entries: int = Field(default=5_000, ge=10, le=20_000)
