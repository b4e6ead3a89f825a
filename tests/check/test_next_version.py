"""What ``make check-evolution`` rolls is a release that may be released, and keeps the enricher's short way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_schemas import Contracts, compile_rules

from tests.check.next_version import ATTRIBUTES, grown, release_next

if TYPE_CHECKING:
    from pathlib import Path


def test_every_record_with_the_events_attributes_goes_along_and_still_starts_with_the_event(tmp_path: Path) -> None:
    shipped, newer = Contracts.load(), release_next(tmp_path)
    along = [name for name in shipped.records if shipped.record(name).field_type(ATTRIBUTES)]
    grew = [name for name in newer.records if len(newer.versions(name)) > len(shipped.versions(name))]
    assert sorted(grew) == sorted(along)
    for name in along:
        assert newer.record(name).starts_with(newer.record("base_event"))
        assert not newer.record(name).starts_with(shipped.record("base_event"))


def test_a_grown_event_keeps_the_rules_and_the_event_it_was_made_of_stays(tmp_path: Path) -> None:
    contracts = release_next(tmp_path)
    rules = compile_rules(contracts.topic("raw-events"))
    for event in contracts.examples("base_event").values():
        before = repr(event)
        assert rules(grown(event)) is None
        assert repr(event) == before
