"""An erasure from begin to end: states first, so that nothing of the person is written again, then tables."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from headgate_runtime.errors import ConfigurationError, RejectedError
from headgate_runtime.kafka.admin import KafkaAdmin
from headgate_runtime.secret_files import read_secret

from headgate_admin.erasure.overtaking import ends_of, wait_stored
from headgate_admin.erasure.report import Account, ErasedTable, fading_topics
from headgate_admin.erasure.rewriting import Eraser
from headgate_admin.erasure.search import Search
from headgate_admin.erasure.states import ErasedState, KafkaStateLog, ask, bury, look, uncovered
from headgate_admin.personal.places import person_tables, personal_topics
from headgate_admin.tables.lakehouse import load_table, reload

if TYPE_CHECKING:
    from headgate_schemas import Contracts

    from headgate_admin.config import AdminSettings
    from headgate_admin.erasure.subject import Subject
    from headgate_admin.personal.places import PersonTable


class Erasure:
    """Erases one person.

    Args:
        settings: Where everything is.
        contracts: Where personal data goes.
        subject: The person.
        wait_s: How long to wait for tables to have what topics have.
    """

    def __init__(self, settings: AdminSettings, contracts: Contracts, subject: Subject, wait_s: float) -> None:
        self._settings = settings
        self._subject = subject
        self._wait_s = wait_s
        self._topics = personal_topics(contracts)
        self._tables = person_tables(contracts)
        self._problems: list[str] = []

    def run(self, *, dry_run: bool) -> Account:
        """Erase, or only look.

        Raises:
            HeadgateError: It was broken off; running it again goes on with what is left.
        """
        for table in self._tables:
            if table.treatment != "drop":
                self._subject.stored_as(table.treatment)  # a key that is missing is missed before anything is changed
        states = self._states(dry_run=dry_run)
        tables = [self._table(table, dry_run=dry_run) for table in self._tables]
        known = KafkaAdmin(self._settings.kafka).topics()
        fading = fading_topics(self._topics, known, time.time_ns() // 1_000_000)
        self._problems += [problem for state in states for problem in state.problems]
        self._problems += [f"{each.table}: {each.problem}" for each in tables if each.problem]
        return Account(self._subject.user, dry_run, states, tables, fading, self._problems)

    def _states(self, *, dry_run: bool) -> list[ErasedState]:
        contracts = [topic.contract for topic in self._topics if topic.compacted and topic.keyed]
        log = KafkaStateLog(self._settings.kafka)
        found = [len(look(log, contract, self._subject)) for contract in contracts]
        if dry_run:
            return [ErasedState(each.topic, keys, left=keys) for each, keys in zip(contracts, found, strict=True)]
        answers = ask(self._settings.enrichers, self._token(), self._subject) if self._settings.enrichers else []
        self._problems += uncovered(log, answers)
        return [
            bury(log, contract, self._subject, keys, answers) for contract, keys in zip(contracts, found, strict=True)
        ]

    def _token(self) -> str:
        path = self._settings.control_token_file
        if path is None:
            raise ConfigurationError("Name the file with the enrichers' token: HEADGATE_ADMIN_CONTROL_TOKEN_FILE.")
        return read_secret(path, "CONTROL_TOKEN_FILE")

    def _table(self, wanted: PersonTable, *, dry_run: bool) -> ErasedTable:
        if wanted.treatment == "drop":
            return ErasedTable(
                wanted.name, problem=f"holds no {wanted.column}: no row of it can be told to be a person's"
            )
        try:
            opened = load_table(self._settings.catalog, wanted.name)
        except RejectedError:
            return ErasedTable(wanted.name)  # nothing was ever stored there
        load = partial(reload, opened)
        search = Search(wanted.column, self._subject.stored_as(wanted.treatment))
        if dry_run:
            held = search.run(opened)
            snapshots = len(held.snapshots)
            return ErasedTable(
                wanted.name, held.rows, snapshots=snapshots, rows_left=held.rows, snapshots_with_rows=snapshots
            )
        kafka = self._settings.kafka
        behind = wait_stored(kafka, load, ends_of(kafka, wanted.topics), self._wait_s)
        if behind:
            places = ", ".join(f"{each.topic}/{each.partition}" for each in behind)
            self._problems.append(
                f"{wanted.name}: the writer has not stored all of {places}; run this again once it has"
            )
        done = Eraser(load, search).run()
        left = search.run(load())
        if left.snapshots:
            self._problems.append(
                f"{wanted.name}: rows of the person have come since; stop their source, run this again"
            )
        return ErasedTable(
            wanted.name,
            found=done.rows,
            erased=done.rows,
            files=done.files,
            snapshots=done.snapshots,
            tags=done.tags,
            deleted_files=done.deleted_files,
            conflicts=done.conflicts,
            rows_left=left.rows,
            snapshots_with_rows=len(left.snapshots),
        )
