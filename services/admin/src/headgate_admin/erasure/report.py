"""What an erasure did, what it could not do, and until when the rest is there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from headgate_admin.output import table_of
from headgate_admin.times import iso, readable_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from headgate_runtime.kafka.admin import TopicInfo
    from rich.table import Table

    from headgate_admin.erasure.states import ErasedState
    from headgate_admin.personal.places import PersonalTopic

# Kafka's own default of segment.ms: a record goes with its segment, which may stay open for so long.
SEGMENT_MS: Final = 604_800_000


@dataclass(frozen=True, slots=True)
class ErasedTable:
    """What became of a table.

    Attributes:
        table: Name with namespace.
        found: Rows of the person before.
        erased: Rows taken out; 0 in a dry run.
        files: Files written anew.
        snapshots: Snapshots that held the rows: expired, or, in a dry run, to be.
        tags: Tags that went with them.
        deleted_files: Files deleted from the store.
        conflicts: Times a writer was faster.
        rows_left: Rows of the person at the last look.
        snapshots_with_rows: Snapshots with rows of the person at the last look.
        problem: Why the table could not be looked through; None where it could.
    """

    table: str
    found: int = 0
    erased: int = 0
    files: int = 0
    snapshots: int = 0
    tags: tuple[str, ...] = ()
    deleted_files: int = 0
    conflicts: int = 0
    rows_left: int = 0
    snapshots_with_rows: int = 0
    problem: str | None = None

    def document(self) -> dict[str, Any]:
        """In JSON form."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"tags": list(self.tags)}


@dataclass(frozen=True, slots=True)
class Fading:
    """A topic whose records of the person go by age.

    Attributes:
        topic: The topic.
        gone_ms: When the last of them is gone at the latest, milliseconds since the epoch; None where they never go.
    """

    topic: str
    gone_ms: int | None

    def document(self) -> dict[str, Any]:
        """In JSON form."""
        return {"topic": self.topic, "gone_by": None if self.gone_ms is None else iso(self.gone_ms)}


@dataclass(frozen=True, slots=True)
class Account:
    """All of it.

    Attributes:
        user: The key of the person's events.
        dry_run: Nothing was changed.
        states: Compacted topics.
        tables: Tables.
        fading: Topics that forget by age.
        problems: What is not done, and what to do.
    """

    user: str
    dry_run: bool
    states: list[ErasedState]
    tables: list[ErasedTable]
    fading: list[Fading]
    problems: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """In JSON form."""
        return {
            "user": self.user,
            "dry_run": self.dry_run,
            "states": [state.document() for state in self.states],
            "tables": [table.document() for table in self.tables],
            "fading_topics": [topic.document() for topic in self.fading],
            "problems": self.problems,
        }

    def parts(self) -> Iterable[tuple[Table, str]]:
        """For people: three tables, each with what stands below it."""
        tables = table_of(
            ("table", "rows", "erased", "snapshots expired", "files deleted", "left"),
            [
                (each.table, each.found, each.erased, each.snapshots, each.deleted_files, each.rows_left)
                for each in self.tables
            ],
        )
        yield tables, "a dry run: nothing was changed" if self.dry_run else "rows, and every snapshot that held them"
        states = table_of(
            ("compacted topic", "keys", "forgotten by the owner", "tombstones", "left"),
            [(each.topic, each.found, each.forgotten, each.buried, each.left) for each in self.states],
        )
        yield states, "a key's earlier values go when its log segment is compacted"
        fading = table_of(
            ("topic", "gone by, at the latest"),
            [(each.topic, "never" if each.gone_ms is None else readable_time(each.gone_ms)) for each in self.fading],
        )
        yield (
            fading,
            "\n".join(self.problems) or "until then a table that is built again from its topics has the rows again",
        )


def fading_topics(topics: Iterable[PersonalTopic], known: Mapping[str, TopicInfo], now_ms: int) -> list[Fading]:
    """When topics that delete by age have nothing of today any more, by the brokers' settings.

    Args:
        topics: Topics with personal data; those that only compact are left out.
        known: The brokers' topics; others are left out.
        now_ms: Milliseconds since the epoch.
    """
    found = []
    for topic in topics:
        name, contract = topic.contract.topic, topic.contract
        if name not in known or "delete" not in contract.cleanup_policy:
            continue
        config = known[name].config
        kept_ms = int(config.get("retention.ms", contract.retention_ms))
        gone_ms = None if kept_ms < 0 else now_ms + kept_ms + int(config.get("segment.ms", SEGMENT_MS))
        found.append(Fading(name, gone_ms))
    return found
