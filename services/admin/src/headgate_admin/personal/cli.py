"""The commands of ``headgate pii``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import typer
from headgate_schemas import Contracts

from headgate_admin.config import load_settings
from headgate_admin.options import ContractsDir, Json  # noqa: TC001  # typer reads them
from headgate_admin.output import reporting, table_of
from headgate_admin.personal.places import person_tables, personal_topics
from headgate_admin.times import readable_span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headgate_admin.personal.places import PersonalTopic

app = typer.Typer(help="Personal data: where it goes.", no_args_is_help=True)

# What holds wherever a field is: not a matter of contracts, but of the services (docs/personal-data.md).
ELSEWHERE: Final = {
    "prompts": "values of direct fields never; quasi fields only where an agent's policy lets the text in, and masked",
    "logs": "never: no payload values",
    "traces": "never: no payload values",
    "commands": "direct fields hidden until --reveal (dlq) or --personal (review)",
}


@app.callback()
def root() -> None:
    """Keep ``report`` a command of its own, as more may stand beside it."""


@app.command()
def report(*, contracts: ContractsDir = None, json: Json = False) -> None:
    """Say where each field that is tagged as personal goes; asks no broker and reads no table."""
    with reporting(as_json=json) as output:
        known = Contracts.load(load_settings(contracts=contracts).contracts_dir)
        topics = personal_topics(known)
        tables = [
            {"table": each.name, "column": each.column, "treatment": each.treatment, "topics": list(each.topics)}
            for each in person_tables(known)
        ]
        document: dict[str, Any] = {
            "topics": [topic.document() for topic in topics],
            "erasable_tables": tables,
            "elsewhere": ELSEWHERE,
        }
        rows = [row for topic in topics for row in _rows(topic)]
        told = "\n".join(f"{place}: {what}" for place, what in ELSEWHERE.items())
        output.result(document, told, table_of(("topic", "kept", "field", "tag", "table", "there"), rows))


def _rows(topic: PersonalTopic) -> Iterator[tuple[object, ...]]:
    contract = topic.contract
    kept = "the last of a key" if topic.compacted else readable_span(contract.retention_ms)
    if topic.keyed and not any(field.path == contract.fields.key for field in topic.fields):
        yield contract.topic, kept, "(record key)", "direct", None, None
    for field in topic.fields:
        yield contract.topic, kept, field.path, field.tag, field.table, field.treatment
