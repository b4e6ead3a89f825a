"""Rows per second of CPU from framed Avro to the table's columns, by each decoder this installation has.

The records are the shipped contract's examples, each with an id and a time of its own, in batches as large as the writer
takes: under the contract's rules, without any, and with every second record in an older version of the schema.

Run ``python -m tests.bench.decode [--events N]`` from the root; writes build/bench/decode.json.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headgate_local.figures import write_figures
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.native import installed_decoder
from headgate_runtime.records import Record
from headgate_runtime.strict import StrictDecoder
from headgate_runtime.testing import MemoryRegistry
from headgate_schemas import Contracts, compile_rules
from headgate_schemas.records import parse_record
from headgate_writer.columnar import ColumnDecoder
from headgate_writer.decode import BatchDecoder
from headgate_writer.schema import decoded_schema

from tests.bench.figure_table import print_figures, rounded
from tests.bench.writer import TOPIC, varied

if TYPE_CHECKING:
    from headgate_schemas import RecordSchema, TopicContract

ROOT = Path(__file__).parents[2]
BATCH_ROWS = 5_000
ROUNDS = 3


@dataclass(frozen=True)
class Bench:
    """The same events in two versions of their record.

    Attributes:
        registry: Has both.
        record: The newer one, which is read.
        contract: Of the topic.
        newer: All events in the newer version; ``mixed`` has every second one in the older.
    """

    registry: MemoryRegistry
    record: RecordSchema
    contract: TopicContract
    newer: list[Record]
    mixed: list[Record]

    @classmethod
    def prepare(cls, events: int) -> Bench:
        """Encode the events."""
        contracts = Contracts.load()
        contract = contracts.topic(TOPIC)
        record = contracts.record(contract.record)
        older = parse_record(record.name, record.version, without_defaults(record.schema))
        registry = MemoryRegistry()
        for version in (older, record):
            registry.register(contract.subject, version.text)
        values = varied(contracts, events)
        new, old = (list(map(Encoder(registry, contract.subject, v).encode, values)) for v in (record, older))
        mixed = [pair[index % 2] for index, pair in enumerate(zip(new, old, strict=True))]
        return cls(registry, record, contract, _records(new), _records(mixed))

    def decoder(self, contract: TopicContract, *, native: bool) -> BatchDecoder:
        """Build a decoder as the writer does."""
        values = Decoder(self.registry, self.record)
        _, make_native = installed_decoder()
        fast = ColumnDecoder(values, self.record, contract, make_native) if native and make_native else None
        columns = decoded_schema(self.record)
        return BatchDecoder(StrictDecoder(values), compile_rules(contract), columns, lambda: 0, fast)

    def measure(self, *, native: bool) -> dict[str, float]:
        """Return rows per CPU second of each case."""
        unruled = self.contract.model_copy(update={"rules": ()})
        return {
            "rows_per_cpu_s": rows_per_cpu_s(self.decoder(self.contract, native=native), self.newer),
            "unruled_rows_per_cpu_s": rows_per_cpu_s(self.decoder(unruled, native=native), self.newer),
            "two_versions_rows_per_cpu_s": rows_per_cpu_s(self.decoder(self.contract, native=native), self.mixed),
        }


def without_defaults(schema: Any) -> Any:
    """Return an earlier version of a schema: without the fields that a reader can do without."""
    if isinstance(schema, list):
        return [without_defaults(branch) for branch in schema]
    if not isinstance(schema, dict) or schema.get("type") != "record":
        return schema
    kept = [field for field in schema["fields"] if "default" not in field]
    return {**schema, "fields": [{**field, "type": without_defaults(field["type"])} for field in kept]}


def rows_per_cpu_s(decoder: BatchDecoder, records: list[Record]) -> float:
    """Return the best of some rounds over all records."""
    spent = []
    for _ in range(ROUNDS):
        began, rows = time.process_time(), 0
        for start in range(0, len(records), BATCH_ROWS):
            rows += decoder.decode_batch(records[start : start + BATCH_ROWS])[0].num_rows
        spent.append(time.process_time() - began)
        if rows != len(records):
            raise RuntimeError(f"{len(records)} records became {rows} rows")
    return len(records) / min(spent)


def _records(values: list[bytes]) -> list[Record]:
    return [Record(TOPIC, 0, offset, 0, None, value) for offset, value in enumerate(values)]


def measure(events: int) -> dict[str, float]:
    """Measure every decoder and return the figures."""
    bench = Bench.prepare(events)
    figures = {f"decode_fastavro_{name}": value for name, value in bench.measure(native=False).items()}
    if installed_decoder()[1] is not None:
        figures |= {f"decode_native_{name}": value for name, value in bench.measure(native=True).items()}
        figures["decode_native_to_fastavro"] = (
            figures["decode_native_rows_per_cpu_s"] / figures["decode_fastavro_rows_per_cpu_s"]
        )
    return figures


def main() -> int:
    """Run the bench; 0 where every event became one row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=50_000)
    events = parser.parse_args().events
    figures = rounded(measure(events))
    details = {"events": events, "decoder": installed_decoder()[0]}
    path = write_figures("bench", "decode", figures, details=details, root=ROOT)
    print_figures(f"Decoders, {events:,} events", figures, path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
