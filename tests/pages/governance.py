"""The calculated parts of docs/governance.md: the catalogue of topics, records, tables and personal data, and how they flow."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from tests.pages.blocks import markdown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from headgate_schemas import Contracts, TopicContract

COMMAND_LINE: Final = "admin"


def governance_blocks(contracts: Contracts) -> dict[str, str]:
    """Those of docs/governance.md."""
    return {
        "flow": _flow(contracts),
        "topics": _topics(contracts),
        "records": _records(contracts),
        "personal": _personal(contracts),
        "tables": _tables(contracts),
    }


def _flow(contracts: Contracts) -> str:
    letters = {topic.dead_letters for topic in contracts.topics.values()}
    shown = [topic for name, topic in contracts.topics.items() if name not in letters]
    lines = dict.fromkeys(line for topic in shown for line in _arrows(topic))
    return "\n".join(["```mermaid", "flowchart LR", *(f"  {line}" for line in lines), "```"])


def _arrows(topic: TopicContract) -> Iterator[str]:
    place = f"{_id('topic', topic.topic)}[/{topic.topic}/]"
    yield from (f"{service} --> {place}" for service in topic.producers if service != COMMAND_LINE)
    yield from (f"{place} --> {service}" for service in topic.consumers if service != COMMAND_LINE)
    if topic.table is not None:
        yield f"writer --> {_id('table', topic.table.name)}[({topic.table.name})]"


def _id(kind: str, name: str) -> str:
    """What Mermaid takes for a node's name."""
    return f"{kind}_{''.join(letter if letter.isalnum() else '_' for letter in name)}"


def _topics(contracts: Contracts) -> str:
    heads = ("topic", "what", "owner", "record", "key", "kept", "written by", "read by", "rules", "dead letters")
    return markdown(heads, (_topic(topic) for topic in contracts.topics.values()))


def _topic(topic: TopicContract) -> tuple[str, ...]:
    kept = _days(topic.retention_ms) + (", compacted" if "compact" in topic.cleanup_policy else "")
    rules = f"{len(topic.rules)}, {topic.on_violation}" if topic.rules else ""
    return (
        f"`{topic.topic}`",
        topic.description,
        topic.owner,
        f"`{topic.record}`",
        _code([topic.fields.key] if topic.fields.key else []),
        kept,
        ", ".join(topic.producers),
        ", ".join(topic.consumers),
        rules,
        _code([topic.dead_letters] if topic.dead_letters else []),
    )


def _days(retention_ms: int) -> str:
    return (
        "for ever" if retention_ms < 0 else f"{dt.timedelta(milliseconds=retention_ms) / dt.timedelta(days=1):g} days"
    )


def _records(contracts: Contracts) -> str:
    rows = []
    for name in contracts.records:
        carrying = [topic for topic in contracts.topics.values() if topic.record == name]
        versions = ", ".join(f"v{record.version}" for record in contracts.versions(name))
        levels = sorted({topic.compatibility for topic in carrying})
        doc = str(contracts.record(name).schema["doc"])
        rows.append((f"`{name}`", doc, versions, ", ".join(levels), _code(topic.topic for topic in carrying)))
    return markdown(("record", "what", "versions", "compatibility", "carried by"), rows)


def _personal(contracts: Contracts) -> str:
    rows = []
    for name in contracts.records:
        carrying = [topic for topic in contracts.topics.values() if topic.record == name]
        for path, tag in contracts.record(name).pii.items():
            stored = {topic.table.name: topic.table.pii.of(tag) for topic in carrying if topic.table}
            tables = "; ".join(f"`{table}`: {treatment}" for table, treatment in stored.items())
            rows.append((f"`{name}`", f"`{path}`", tag, _code(topic.topic for topic in carrying), tables))
    return markdown(("record", "field", "class", "topics", "tables, and what they hold of it"), rows)


def _tables(contracts: Contracts) -> str:
    rows = []
    stored = [topic for topic in contracts.topics.values() if topic.table]
    for table in {topic.table.name: topic.table for topic in stored if topic.table}.values():
        topics = [topic for topic in stored if topic.table == table]
        parts = ", ".join(f"{part.transform}(`{part.field}`)" for part in table.partition_by)
        unique = f"`{table.versions.key}` and `{table.versions.by}`" if table.versions else "topic, partition, offset"
        owners = ", ".join(sorted({topic.owner for topic in topics}))
        rows.append((f"`{table.name}`", owners, _code(topic.topic for topic in topics), parts, unique))
    return markdown(("table", "owner", "topics", "partitioned by", "a row is unique by"), rows)


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
