"""What a replay's calls are paid from: an amount of its own, and never the agents' budgets."""

from __future__ import annotations


class FixedPurse:
    """Pays until an amount is gone; of one process.

    Args:
        most_microdollars: The amount, in millionths of a US dollar.
    """

    def __init__(self, most_microdollars: int) -> None:
        self._left = most_microdollars

    async def reserve(self, agent: str, tenant: str, tokens: int, cost_microdollars: int) -> _Reservation | None:  # noqa: ARG002 (Purse)
        """Set aside the most a call can cost; None where less is left."""
        if cost_microdollars > self._left:
            return None
        self._left -= cost_microdollars
        return _Reservation(self, cost_microdollars)

    def give_back(self, cost_microdollars: int) -> None:
        """Take back what a call has not cost."""
        self._left += cost_microdollars


class _Reservation:
    """An amount set aside for one call."""

    __slots__ = ("_purse", "_reserved")

    def __init__(self, purse: FixedPurse, reserved: int) -> None:
        self._purse: FixedPurse | None = purse
        self._reserved = reserved

    def settle(self, tokens: int, cost_microdollars: int) -> None:  # noqa: ARG002 (Reservation)
        """Say what the call has cost; only the first word counts."""
        purse, self._purse = self._purse, None
        if purse is not None:
            purse.give_back(self._reserved - cost_microdollars)
