"""Wires the budget onto Kafka."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.errors import ConfigurationError
from headgate_runtime.kafka.producer import KafkaProducer
from headgate_runtime.kafka.tail import KafkaTail
from headgate_runtime.records import TopicPartition
from headgate_schemas import ContractError, compile_rules

from headgate_enricher.budget.control import budget_router
from headgate_enricher.budget.entries import EntryCodec
from headgate_enricher.budget.log import BudgetLog
from headgate_enricher.budget.metrics import BudgetMetrics
from headgate_enricher.budget.purse import LedgerPurse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fastapi import APIRouter
    from headgate_runtime.config import KafkaSettings
    from headgate_runtime.kafka.admin import TopicInfo
    from headgate_runtime.metrics import Metrics
    from headgate_runtime.registry import SchemaRegistry
    from headgate_schemas import Contracts, RecordSchema, TopicContract

    from headgate_enricher.budget.settings import BudgetSettings
    from headgate_enricher.gateway.protocols import Purse


class OpenBudget(Protocol):
    """``open_budget`` with all its arguments but one."""

    def __call__(self, *, metrics: Metrics) -> Budget:
        """Start to follow the ledger."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A running budget.

    Attributes:
        purse: What the agents' calls are paid from.
        why_not_ready: Why no call can be paid now, None where one can.
        close: Lets go of what is open.
        routers: Its control endpoints.
    """

    purse: Purse
    why_not_ready: Callable[[], str | None] = lambda: None
    close: Callable[[], None] = lambda: None
    routers: Sequence[APIRouter] = ()


def open_budget(
    settings: BudgetSettings,
    *,
    replica: str,
    kafka: KafkaSettings,
    registry: SchemaRegistry,
    contract: TopicContract,
    record: RecordSchema,
    metrics: Metrics,
    propose: bool = True,
) -> Budget:
    """Start to follow the ledger.

    Args:
        settings: Settings of the budget.
        replica: This replica's name.
        kafka: How to reach the brokers.
        registry: Where the entry's schema is.
        contract: The ledger.
        record: Its entries.
        metrics: Where the budget's metrics go.
        propose: Whether the settings' limits are to count; else those that others have put there do.

    Raises:
        ConfigurationError: The entry's schema is not registered.
        UnavailableError: The registry does not answer.
    """
    codec = EntryCodec(
        Encoder(registry, contract.subject, record), Decoder(registry, record), compile_rules(contract), replica
    )
    place = TopicPartition(contract.topic, 0)
    properties = {
        "linger.ms": str(settings.linger_ms),
        # An entry that nobody waits for any more shall not reach the log much later.
        "message.timeout.ms": str(max(1000, int(settings.timeout_s * 1000))),
    }
    budget_metrics = BudgetMetrics(metrics)
    log = BudgetLog(
        place=place,
        open_tail=lambda: KafkaTail(kafka, place),
        producer=KafkaProducer(kafka, properties=properties),
        codec=codec,
        replica=replica,
        configured=settings.limits if propose else None,
        checkpoint_entries=settings.checkpoint_entries,
        metrics=budget_metrics,
    )
    log.start()
    purse = LedgerPurse(log, timeout_s=settings.timeout_s, metrics=budget_metrics)
    return Budget(purse, log.why_not_ready, log.close, [budget_router(log)])


def ledger_contract(contracts: Contracts, topic: str) -> TopicContract:
    """The ledger's contract.

    Raises:
        ConfigurationError: There is none.
    """
    try:
        return contracts.topic(topic)
    except ContractError as error:
        raise ConfigurationError(str(error)) from error


def check_ledger(contract: TopicContract, existing: Mapping[str, TopicInfo]) -> None:
    """Check that the ledger can be relied on.

    Raises:
        ConfigurationError: The topic is not there, or has more than the one partition whose order decides.
    """
    found = existing.get(contract.topic)
    if found is None:
        raise ConfigurationError(f"No topic {contract.topic}: run `headgate topics apply`.")
    if found.partitions != 1:
        raise ConfigurationError(
            f"{contract.topic} has {found.partitions} partitions, and a ledger has one: delete it and run "
            "`headgate topics apply`."
        )
