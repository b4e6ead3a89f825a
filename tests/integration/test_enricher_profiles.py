"""What the processor tells of accounts is evidence of the enricher's decisions: before a run, during it, after kills and moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from headgate_agent_risk.windows import WINDOWS, WindowHistory
from headgate_processor.catalog import SHIPPED
from headgate_runtime.avro import Decoder
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.kafka.ranges import read_range
from headgate_runtime.testing import eventually

from tests.integration.enrichers import START_MS, World, running
from tests.integration.profiles import FIGURE, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from headgate_local.fixtures import Brokers
    from headgate_local.processes import ServiceProcess


class Told(World):
    """The world with a processor's records in it, and payments about which the local model looks up the account."""

    def tell(self, accounts: Collection[int]) -> None:
        """Tell of each account a figure of its own."""
        tell(self, {f"account-{account}": account + 1 for account in accounts})

    def pay(self, accounts: Collection[int]) -> dict[int, str | None]:
        """Let each account pay once, and give the figure of its window that the decision's evidence names."""
        producer = KafkaProducer(self.kafka)
        for account in accounts:
            producer.send(self.outgoing(payment(f"account-{account}")))
        assert producer.flush(30) == 0
        wanted = {f"account-{account}" for account in accounts}
        eventually(lambda: wanted <= self.decisions().keys(), 60)
        decided = self.decisions()
        told = {account: _evidence(decided[f"account-{account}"]) for account in accounts}
        assert all("account_history.known" in evidence for evidence in told.values())
        return {account: evidence.get(FIGURE) for account, evidence in told.items()}

    def decisions(self) -> dict[str, dict[str, Any]]:
        """What was decided by now, by account; each has paid once."""
        decoder = Decoder(self.registry, self.contracts.record(self.contracts.topic(self.output).record))
        events: list[dict[str, Any]] = []
        starts = dict.fromkeys(self.partitions_of(self.output), 0)
        read_range(self.kafka, starts, lambda record: events.append(decoder.decode(record.value)), 30)
        return {self.key_of(event): event["agent_metadata"] for event in events}


def payment(account: str) -> dict[str, Any]:
    known = {"amount": 300.0, "currency": "USD", "merchant": "Gift Card World", "country": "US", "channel": "web"}
    others = dict.fromkeys(("device_id", "outcome", "page", "note")) | {"device_id": "d-1"}
    return {
        "event_id": "",
        "event_type": "transaction",
        "source_system": "web",
        "event_timestamp": START_MS,
        "payload": {"attributes": {"user_id": account, **known, **others}},
    }


def _evidence(decided: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in decided["evidence"] if each["source"] == "tool"}


def held(enricher: ServiceProcess) -> int:
    """Keys whose profile an enricher holds, 0 also while it does not answer."""
    port = enricher.spec.environment["HEADGATE_ENRICHER_HTTP__PORT"]
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
    except httpx.TransportError:
        return 0
    values = [line.split()[1] for line in text.splitlines() if line.startswith("headgate_profiles_held ")]
    return int(float(values[0])) if values else 0


@pytest.fixture
def world(stack: Brokers, tmp_path: Path, topic_name: Callable[[str], str]) -> Iterator[Told]:
    world = Told(topic_name("profiles"), tmp_path, stack)
    world.model.start()
    world.model.wait_ready()
    yield world
    world.model.stop()


def test_what_was_told_of_an_account_is_evidence_before_and_during_a_run_and_after_kills_and_moves(
    world: Told,
) -> None:
    first, second = (world.enricher(f"enricher-{number}") for number in range(2))
    world.tell(range(10))
    with running(first):
        assert world.pay([*range(10), 99]) == {**{account: str(account + 1) for account in range(10)}, 99: None}
        world.tell(range(10, 40))
        eventually(lambda: held(first) == 40, 30)
        assert world.pay(range(10, 20)) == {account: str(account + 1) for account in range(10, 20)}
        first.kill9_worker()
        assert world.pay(range(20, 30)) == {account: str(account + 1) for account in range(20, 30)}
        with running(second):
            eventually(lambda: held(second) > 0 and held(first) + held(second) == 40, 60)
            assert world.pay(range(30, 40)) == {account: str(account + 1) for account in range(30, 40)}
    world.assert_exactly_once()


def test_the_shipped_definition_has_every_window_and_figure_that_the_risk_agent_looks_at() -> None:
    activity = yaml.safe_load((SHIPPED / "account_activity.yaml").read_text("utf-8"))
    assert set(WINDOWS.values()) <= {f"{activity['name']}_{window['name']}" for window in activity["windows"]}
    figures = {figure["name"]: figure for figure in activity["aggregates"]}
    assert set(WindowHistory.model_fields) - {"spent", "minutes_ago"} <= set(figures)
    assert (figures["amount"]["kind"], figures["amount"]["split_by"]) == ("sum", "payload.attributes.currency")
