"""Labelled traffic: ordinary people with a few campaigns of abuse among them, in the order of time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_agent_risk.generator.campaigns import CAMPAIGNS
from headgate_agent_risk.generator.draws import Draws
from headgate_agent_risk.generator.people import People
from headgate_agent_risk.generator.shoppers import shop

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headgate_schemas.agent import Event

    from headgate_agent_risk.generator.acts import Act

NORMAL = "normal"
LABELS = (NORMAL, *CAMPAIGNS)
ABUSE_SHARE = 0.04
"""Share of the events that belong to a campaign."""

_SOURCE = "web-shop"
_AT_ONCE = 3
_VISITS = frozenset({"login", "page_view"})


def generate(
    *, seed: int, events: int, start_ms: int, end_ms: int, keys: Sequence[str] | None = None
) -> Iterator[tuple[Event, str]]:
    """Generate events of ``base_event`` with their labels; the same arguments give the same events everywhere.

    Args:
        seed: Decides everything that is random.
        events: How many, evenly spread with jitter.
        start_ms: Earliest event time, milliseconds since the epoch, included.
        end_ms: Latest event time, excluded.
        keys: Record keys, which are user ids, to take; None for invented ones.

    Yields:
        The event, without its label, and the label: one of ``LABELS``.

    Raises:
        ValueError: The time span is empty, the number negative, or there are no keys.
    """
    _check(events, start_ms, end_ms)
    draws = Draws(seed)
    return _timed(_acts(draws, People(keys)), draws, seed=seed, events=events, start_ms=start_ms, end_ms=end_ms)


def generate_visits(
    *, seed: int, events: int, start_ms: int, end_ms: int, keys: Sequence[str] | None = None
) -> Iterator[tuple[Event, str]]:
    """Generate logins and page views alone, to be merged with a log of real payments; else as :func:`generate`."""
    _check(events, start_ms, end_ms)
    draws = Draws(seed)
    visits = ((label, act) for label, act in _acts(draws, People(keys)) if act.event_type in _VISITS)
    return _timed(visits, draws, seed=seed, events=events, start_ms=start_ms, end_ms=end_ms)


def _check(events: int, start_ms: int, end_ms: int) -> None:
    if events < 0:
        raise ValueError(f"events is {events}; it must be 0 or more")
    if end_ms <= start_ms:
        raise ValueError(f"end_ms ({end_ms}) must be later than start_ms ({start_ms})")


def _acts(draws: Draws, people: People) -> Iterator[tuple[str, Act]]:
    """What people do, labelled, for ever."""
    abuse = _abuse(draws, people)
    while True:
        yield next(abuse) if draws.chance(ABUSE_SHARE) else (NORMAL, shop(draws, people))


def _timed(
    acts: Iterator[tuple[str, Act]], draws: Draws, *, seed: int, events: int, start_ms: int, end_ms: int
) -> Iterator[tuple[Event, str]]:
    """The first ``events`` acts as events, spread over the span."""
    span_ms = end_ms - start_ms
    for index, (label, act) in zip(range(events), acts, strict=False):
        offset_ms = int((index + draws.between(0, 1)) * span_ms / events)
        yield (
            {
                "event_id": f"syn-{seed}-{start_ms}-{index}",
                "event_type": act.event_type,
                "source_system": _SOURCE,
                # The last slot's jitter may round up to the end of the span.
                "event_timestamp": start_ms + min(offset_ms, span_ms - 1),
                "payload": {"attributes": act.attributes},
            },
            label,
        )


def _abuse(draws: Draws, people: People) -> Iterator[tuple[str, Act]]:
    """The acts of a few campaigns at once, for ever; a campaign that ends makes room for the next."""
    running: list[tuple[str, Iterator[Act]]] = []
    while True:
        while len(running) < _AT_ONCE:
            label = draws.pick(LABELS[1:])
            running.append((label, CAMPAIGNS[label](draws, people)))
        chosen = draws.pick(running)
        act = next(chosen[1], None)
        if act is None:
            running.remove(chosen)
        else:
            yield chosen[0], act
