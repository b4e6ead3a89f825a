"""Pytest plugin: real brokers for every test that asks for them, from wherever this machine can get them.

The order: the brokers named by HEADGATE_TEST_BOOTSTRAP and HEADGATE_TEST_REGISTRY; containers, where Docker can start the
images; else the embedded stack. The choice is printed, and no test is ever skipped for want of a broker.
"""

from __future__ import annotations

import sys
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from headgate_local.config import BrokerSettings
from headgate_local.progress import PlainProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CHOSEN = pytest.StashKey[str]()


@dataclass(frozen=True, slots=True)
class Brokers:
    """The brokers of a test session.

    Attributes:
        bootstrap_servers: Kafka's address.
        registry_url: The schema registry's Confluent API; global compatibility BACKWARD.
        source: Where they come from, in words.
    """

    bootstrap_servers: str
    registry_url: str
    source: str


def pytest_configure() -> None:
    """Refuse a session whose brokers are half named, before anything else is done.

    Raises:
        pytest.UsageError: One of the two settings is missing; says what to do.
    """
    _given()


def pytest_report_header() -> str:
    """Say in the header which brokers the session would use."""
    given = _given()
    if given.bootstrap is not None:
        return f"brokers: {given.bootstrap} and {given.registry} (HEADGATE_TEST_BOOTSTRAP, HEADGATE_TEST_REGISTRY)"
    return "brokers: started when a test asks for them: containers where Docker can, else the embedded stack"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say at the end which brokers the session used."""
    if (chosen := config.stash.get(_CHOSEN, None)) is not None:
        terminalreporter.write_line(f"brokers used: {chosen}")


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    """Kafka and a schema registry for the whole session: give every test topics of its own (``topic_name``)."""
    given = _given()
    if given.bootstrap is not None and given.registry is not None:
        yield _announced(pytestconfig, Brokers(given.bootstrap, given.registry, "the environment's"))
        return
    # imported here: only sessions that ask for brokers pay for it
    from headgate_local import containers  # noqa: PLC0415 - see above
    from headgate_local.stack import Stack  # noqa: PLC0415 - see above

    refusal = containers.why_not()
    if refusal is None:
        with containers.running() as (bootstrap_servers, registry_url):
            yield _announced(pytestconfig, Brokers(bootstrap_servers, registry_url, "containers"))
        return
    with Stack(tmp_path_factory.mktemp("stack"), progress=PlainProgress(sys.__stderr__ or sys.stderr)) as embedded:
        source = f"the embedded stack ({refusal})"
        yield _announced(pytestconfig, Brokers(embedded.bootstrap_servers, embedded.registry_url, source))


@pytest.fixture
def topic_name() -> Callable[[str], str]:
    """Makes topic (or group, or subject) names no other test has: ``topic_name("orders")`` -> ``orders-3f9c52d81a07``."""

    def unique(prefix: str = "test") -> str:
        return f"{prefix}-{uuid.uuid4().hex[:12]}"

    return unique


def _given() -> BrokerSettings:
    try:
        return BrokerSettings()
    except ValidationError as error:
        reasons = [fault["msg"].removeprefix("Value error, ") for fault in error.errors(include_input=False)]
        raise pytest.UsageError("; ".join(reasons)) from None


def _announced(config: pytest.Config, brokers: Brokers) -> Brokers:
    config.stash[_CHOSEN] = f"{brokers.source}: {brokers.bootstrap_servers}, {brokers.registry_url}"
    return brokers
