"""What a shadow's calls are paid from: the shared ledger, under accounts of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from headgate_enricher.gateway.protocols import Purse, Reservation

SUFFIX: Final = ".shadow"


class ShadowPurse:
    """Books what a shadow spends apart: agent and tenant have accounts ``<name>.shadow``, with limits of their own.

    Args:
        purse: Pays.
    """

    def __init__(self, purse: Purse) -> None:
        self._purse = purse

    async def reserve(self, agent: str, tenant: str, tokens: int, cost_microdollars: int) -> Reservation | None:
        """Set aside the most a call can use; see ``Purse.reserve``."""
        return await self._purse.reserve(agent + SUFFIX, tenant and tenant + SUFFIX, tokens, cost_microdollars)
