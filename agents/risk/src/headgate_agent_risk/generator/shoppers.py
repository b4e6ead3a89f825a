"""Ordinary people: mostly looking, sometimes buying, now and then on holiday or with a wrong password."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headgate_agent_risk.generator.acts import Act, log_in, pay, view

if TYPE_CHECKING:
    from headgate_agent_risk.generator.draws import Draws
    from headgate_agent_risk.generator.people import People, Person

_PAGES = ("/", "/search", "/cart", "/checkout", "/help/returns", "/account/orders", "/account/profile")
_OWN_SETTINGS = ("/account/security", "/account/payout")
_MERCHANTS = ("Northwind Books", "Green Grocer", "Corner Records", "Trail Outfitters", "Daily Bakery", "Lamp & Shade")
_GIFTS = ("Gift Card Shop", "Prepaid Mobile")
_NOTES = ("Please leave it with the neighbour.", "Gift wrap, thank you!", "Ring twice", "Back entrance after 5 pm")
_ABROAD = ("TR", "IT", "ES", "MX", "TH", "ZA", "VN")


def shop(draws: Draws, people: People) -> Act:
    """One thing an ordinary person does."""
    person = people.someone(draws)
    where = _circumstances(draws, person)
    kind = draws.between(0, 1)
    if kind < 0.5:  # noqa: PLR2004 - half of the traffic
        return view(person, _page(draws), **where)
    if kind < 0.75:  # noqa: PLR2004 - a quarter
        return log_in(person, succeeds=not draws.chance(0.05), **where)
    merchant = draws.pick(_GIFTS) if draws.chance(0.03) else draws.pick(_MERCHANTS)
    note = draws.pick(_NOTES) if draws.chance(0.06) else None
    return pay(person, draws.log_normal(person.basket, 0.75), merchant, note=note, **where)


def _circumstances(draws: Draws, person: Person) -> dict[str, Any]:
    mobile = draws.chance(0.4)
    return {
        "channel": "mobile" if mobile else "web",
        "country": draws.pick(_ABROAD) if draws.chance(0.01) else person.country,
        "device_id": person.device_id if mobile or not draws.chance(0.1) else None,
    }


def _page(draws: Draws) -> str:
    if draws.chance(0.55):
        return f"/products/{draws.whole(1, 4_000)}"
    return draws.pick(_OWN_SETTINGS) if draws.chance(0.02) else draws.pick(_PAGES)
