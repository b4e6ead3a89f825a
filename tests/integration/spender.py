"""A process that spends what its purse lets it, and writes down what it spent before it says so to the purse.

``python -m tests.integration.spender <bootstrap> <registry> <contracts> <topic> <instance> <limit> <journal>``
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from headgate_enricher.budget.limits import Limit
from headgate_enricher.budget.opening import open_budget
from headgate_enricher.budget.settings import BudgetSettings
from headgate_runtime.config import KafkaSettings, RegistrySettings
from headgate_runtime.errors import UnavailableError
from headgate_runtime.metrics import Metrics
from headgate_runtime.registry import ConfluentRegistry
from headgate_schemas import Contracts

if TYPE_CHECKING:
    from headgate_enricher.budget.purse import LedgerPurse

AGENT, TENANTS = "spender", ("web", "app")
AT_ONCE = 20
MOST = 10


async def spend(instance: str, purse: LedgerPurse, journal: int) -> None:
    """Ask for ``MOST`` tokens again and again; use some of them where they are granted."""
    while True:
        granted = None
        try:
            granted = await purse.reserve(AGENT, random.choice(TENANTS), MOST, MOST)  # noqa: S311 - no secret
        except UnavailableError:
            outcome = "unavailable"
        else:
            outcome = "granted" if granted else "refused"
        used = random.randint(MOST // 2, MOST) if granted else 0  # noqa: S311 - no secret
        os.write(journal, f"{instance} {outcome} {used}\n".encode())
        await asyncio.sleep(random.uniform(0.005, 0.05))  # noqa: S311 - no secret
        if granted:
            granted.settle(used, used)


async def main(arguments: list[str]) -> None:
    """Spend until killed."""
    bootstrap, registry, contracts, topic, instance, limit, file = arguments
    known = Contracts.load(Path(contracts))
    contract = known.topic(topic)
    budget = open_budget(
        BudgetSettings(limits=(Limit(scope="agent", window="day", tokens=int(limit)),), checkpoint_entries=100),
        replica=instance,
        kafka=KafkaSettings(bootstrap_servers=bootstrap),
        registry=ConfluentRegistry(RegistrySettings(url=registry)),
        contract=contract,
        record=known.record(contract.record),
        metrics=Metrics(),
    )
    journal = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    await asyncio.gather(*(spend(instance, budget.purse, journal) for _ in range(AT_ONCE)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
