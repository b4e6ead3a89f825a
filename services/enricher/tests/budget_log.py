"""The ledger's log for tests: real Avro entries, in a list."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headgate_enricher.budget.entries import EntryCodec
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.records import Record
from headgate_runtime.testing import MemoryRegistry
from headgate_schemas import Contracts, compile_rules

if TYPE_CHECKING:
    from headgate_enricher.budget.entries import Entry

TOPIC = "budget-ledger"
CONTRACTS = Contracts.load()


def codec(replica: str = "replica") -> EntryCodec:
    registry = MemoryRegistry()
    contract = CONTRACTS.topic(TOPIC)
    record = CONTRACTS.record(contract.record)
    registry.register(contract.subject, record.text)
    return EntryCodec(
        Encoder(registry, contract.subject, record), Decoder(registry, record), compile_rules(contract), replica
    )


CODEC = codec()


@dataclass
class ListTail:
    """What a replica reads of a list of records whose first ones may be gone."""

    records: list[Record]
    begin: int = 0
    at: int = 0

    def bounds(self) -> tuple[int, int]:
        return self.begin, len(self.records)

    def start(self, offset: int) -> None:
        assert offset >= self.begin, "this record is gone"
        self.at = offset

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        assert timeout_s >= 0
        found = self.records[self.at : self.at + max_records]
        self.at += len(found)
        return found

    def position(self) -> int:
        return self.at

    def close(self) -> None:
        pass


@dataclass
class ListLog:
    """A log whose broker's clock is ``now_ms``."""

    now_ms: int
    begin: int = 0
    records: list[Record] = field(default_factory=list)

    def append(self, entry: Entry) -> None:
        self.append_bytes(CODEC.encode(entry))

    def append_bytes(self, value: bytes) -> None:
        self.records.append(Record(TOPIC, 0, len(self.records), self.now_ms, None, value))

    def tail(self) -> ListTail:
        return ListTail(self.records, self.begin)
