"""What may enter, and who decides on it: a record's value decoded, held against its topic's contract, and routed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from headgate_runtime.errors import UndecodableError
from headgate_schemas import Violation

from headgate_enricher.way import AGENT_METADATA

if TYPE_CHECKING:
    from headgate_runtime.records import Record
    from headgate_schemas.agent import Event

    from headgate_enricher.routing import Decider, Routing

Check = Callable[[Mapping[str, Any]], Violation | None]
CONTRACT_VIOLATION = "contract_violation"
NO_AGENT = "no_agent"


class ValueDecoder(Protocol):
    """Reads a record's value; the runtime's ``Decoder`` is one."""

    def decode(self, value: bytes | None) -> dict[str, Any]:
        """Decode Confluent-framed Avro."""


class RefusedError(Exception):
    """A record goes to the dead letters instead of to the agent.

    Attributes:
        cause: Code of the cause.
        field: Path of the field that broke a rule.
        rule: Name of the rule.
        schema_id: Schema id in the frame, where there is one.
    """

    def __init__(
        self,
        cause: str,
        message: str,
        *,
        field: str | None = None,
        rule: str | None = None,
        schema_id: int | None = None,
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.field = field
        self.rule = rule
        self.schema_id = schema_id


class PassedOverError(Exception):
    """A record is nothing to decide on, and nothing is wrong with it: it is done."""


class Intake:
    """Turns records into what their topic's contract says they are.

    Args:
        decoder: Decodes a value.
        check: The topic's rules.
    """

    def __init__(self, decoder: ValueDecoder, check: Check) -> None:
        self._decode = decoder.decode
        self._check = check

    def accept(self, record: Record) -> Event:
        """Decode and check one record.

        Raises:
            RefusedError: The record is not what the contract says; repeating will not help.
            UnavailableError: The registry does not answer and the record's schema is not known yet.
        """
        try:
            event = self._decode(record.value)
        except UndecodableError as error:
            raise RefusedError(error.cause, str(error), schema_id=error.schema_id) from error
        violation = self._check(event)
        if violation is not None:
            raise RefusedError(
                CONTRACT_VIOLATION,
                violation.message,
                field=violation.field,
                rule=violation.rule,
                schema_id=_schema_id(record),
            )
        return event


class RoutedIntake:
    """Turns records into events, each with the agent that decides on it.

    Args:
        intake: Decodes and checks.
        routing: Finds the agent.
    """

    def __init__(self, intake: Intake, routing: Routing) -> None:
        self._accept = intake.accept
        self._routing = routing

    def accept(self, record: Record) -> tuple[Event, Decider]:
        """Decode, check and route one record; raises as ``Intake.accept``, RefusedError also where no agent takes it."""
        event = self._accept(record)
        decider = self._routing.only or self._routing.decider_of(event)
        if decider is None:
            message = "No agent takes events of this type: name one for it, or for every other type, in AGENTS."
            raise RefusedError(NO_AGENT, message, field=self._routing.type_field, schema_id=_schema_id(record))
        return event, decider


class DecidedIntake:
    """Turns decided events back into events to decide on, with the decision that holds beside them.

    Later revisions, events of a type that no agent is named for, and what lies behind an end are passed over.

    Args:
        intake: Decodes and checks.
        routing: Finds the agent.
        ends: Offsets by partition number at which the records end that are of interest; no entry: all are.
    """

    def __init__(self, intake: Intake, routing: Routing, ends: Mapping[int, int] | None = None) -> None:
        self._accept = intake.accept
        self._routing = routing
        self._ends = ends or {}

    def accept(self, record: Record) -> tuple[Event, Decider]:
        """Decode, check and route one record; raises as ``Intake.accept``, and PassedOverError."""
        end = self._ends.get(record.partition)
        if end is not None and record.offset >= end:
            raise PassedOverError
        event = self._accept(record)
        decider = self._routing.decider_of(event)
        if decider is None or event[AGENT_METADATA]["revision"] > 0:
            raise PassedOverError
        return event, decider


def _schema_id(record: Record) -> int | None:
    return int.from_bytes(record.value[1:5], "big") if record.value else None
