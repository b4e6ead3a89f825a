"""What brokers of one cluster are told."""

from __future__ import annotations

import pytest
from headgate_local.access import OpenAccess
from headgate_local.kafka import Cluster, broker_name, port_names

PORTS = {name: 9000 + node * 10 + place for node in range(1, 4) for place, name in enumerate(port_names(node))}


@pytest.mark.parametrize(
    ("brokers", "replicas", "in_sync", "voters"),
    [
        (1, "1", "1", "1@127.0.0.1:9011"),
        (3, "3", "2", "1@127.0.0.1:9011,2@127.0.0.1:9021,3@127.0.0.1:9031"),
    ],
)
def test_three_brokers_replicate_everything_and_one_cannot(
    brokers: int, replicas: str, in_sync: str, voters: str
) -> None:
    settings = Cluster("id", brokers, PORTS, OpenAccess()).settings()
    assert settings.pop("controller.quorum.voters") == voters
    assert {value for name, value in settings.items() if name.endswith("replication.factor")} == {replicas}
    assert {value for name, value in settings.items() if "isr" in name or "insync" in name} == {in_sync}


def test_the_first_broker_keeps_the_name_it_had_alone() -> None:
    assert [broker_name(node) for node in (1, 2, 3)] == ["kafka", "kafka-2", "kafka-3"]
    assert port_names(1) == ("kafka", "controller")
