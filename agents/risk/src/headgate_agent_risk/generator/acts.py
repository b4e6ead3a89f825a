"""What people and scripts do in the shop, as attributes of an event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from headgate_agent_risk.generator.people import Person


class Act(NamedTuple):
    """An event without its identity and time."""

    event_type: str
    attributes: dict[str, Any]


def _act(event_type: str, person: Person, **known: Any) -> Act:
    attributes: dict[str, Any] = {
        "user_id": person.user_id,
        "amount": None,
        "currency": None,
        "merchant": None,
        "country": person.country,
        "device_id": person.device_id,
        "channel": "web",
        "outcome": None,
        "page": None,
        "note": None,
    }
    attributes.update(known)
    return Act(event_type, attributes)


def pay(person: Person, amount: float, merchant: str, **known: Any) -> Act:
    """A payment in the person's currency; the amount is rounded to cents."""
    return _act("transaction", person, amount=round(amount, 2), currency=person.currency, merchant=merchant, **known)


def log_in(person: Person, *, succeeds: bool, **known: Any) -> Act:
    """A login."""
    return _act("login", person, outcome="success" if succeeds else "failure", **known)


def view(person: Person, page: str, **known: Any) -> Act:
    """A page view."""
    return _act("page_view", person, page=page, **known)
