"""The people of the synthetic shop: who lives where, pays in what, and uses which device."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_agent_risk.generator.draws import Draws

_DEFAULT_USERS = 5_000
_HOMES = (
    *[("US", "USD", 24.0)] * 8,
    *[("GB", "GBP", 19.0)] * 3,
    *[("DE", "EUR", 22.0)] * 3,
    *[("FR", "EUR", 21.0)] * 2,
    *[("CA", "CAD", 32.0)] * 2,
    ("JP", "JPY", 3500.0),
    ("SE", "SEK", 240.0),
)


class Person(NamedTuple):
    """Someone with an account.

    Attributes:
        user_id: Account.
        country: ISO 3166 alpha-2 code of home.
        currency: ISO 4217 code.
        basket: Median purchase, in units of the currency.
        device_id: The device they mostly use.
    """

    user_id: str
    country: str
    currency: str
    basket: float
    device_id: str


class People:
    """A pool of people; what a person is like follows from the user id alone."""

    def __init__(self, users: Sequence[str] | None) -> None:
        self._users = users if users is not None else [f"shopper-{n:05d}" for n in range(_DEFAULT_USERS)]
        if not self._users:
            raise ValueError("keys is empty; give at least one user id, or none at all for invented ones")
        self._known: dict[str, Person] = {}

    def someone(self, draws: Draws) -> Person:
        """Anyone of the pool."""
        user = draws.pick(self._users)
        person = self._known.get(user)
        if person is None:
            person = self._known[user] = _person(user)
        return person


def _person(user_id: str) -> Person:
    trait = crc32(user_id.encode())
    country, currency, basket = _HOMES[trait % len(_HOMES)]
    return Person(user_id, country, currency, basket, f"dev-{trait:08x}")
