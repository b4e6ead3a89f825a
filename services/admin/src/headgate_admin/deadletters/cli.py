"""The commands of ``headgate dlq``."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from pathlib import Path  # noqa: TC003  # typer reads it
from typing import TYPE_CHECKING, Annotated, Any

import typer
from headgate_runtime.avro import Decoder, Encoder
from headgate_runtime.errors import ConfigurationError, FencedError, HeadgateError, RejectedError
from headgate_runtime.kafka.transactions import KafkaTransactionalProducer
from headgate_runtime.registry import ConfluentRegistry
from headgate_schemas import Contracts, compile_rules, parse_value

from headgate_admin.config import load_settings
from headgate_admin.deadletters.display import GROUP_COLUMNS, describe, group_row, groups
from headgate_admin.deadletters.letters import Connections, Letters
from headgate_admin.deadletters.position import Position
from headgate_admin.deadletters.replay import OutgoingNotes, Replayer, put_back
from headgate_admin.options import BootstrapServers, ContractsDir, DryRun, Json, RegistryUrl, Yes  # noqa: TC001  # typer reads them
from headgate_admin.output import ExitCode, Output, reporting, table_of
from headgate_admin.reading import newest, record_at
from headgate_admin.reviews.display import lines
from headgate_admin.times import milliseconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headgate_admin.config import AdminSettings
    from headgate_admin.deadletters.letters import Letter
    from headgate_admin.deadletters.replay import Candidate

app = typer.Typer(help="What could not be processed: look, and put it back once it can be.", no_args_is_help=True)

Causes = Annotated[list[str] | None, typer.Option("--cause", help="Only of this cause; may be repeated.")]
Since = Annotated[str | None, typer.Option(help="ISO 8601 time; only what failed then or later.")]


def connect(settings: AdminSettings) -> Connections:
    """Connections to the addresses of the settings."""
    kafka = settings.kafka
    return Connections(
        ConfluentRegistry(settings.registry),
        newest(kafka),
        record_at(kafka),
        lambda name: KafkaTransactionalProducer(kafka, transactional_id=name),
    )


@app.command("list")
def list_letters(
    topic: Annotated[str | None, typer.Argument(help="A topic, or its dead letters' topic; else all.")] = None,
    *,
    cause: Causes = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, help="Groups shown, the largest first.")] = 50,
    contracts: ContractsDir = None,
    bootstrap_servers: BootstrapServers = None,
    registry_url: RegistryUrl = None,
    json: Json = False,
) -> None:
    """Count dead letters by topic, cause and rule; the newest of each group is named."""
    with reporting(as_json=json) as output:
        settings = load_settings(bootstrap_servers=bootstrap_servers, registry_url=registry_url, contracts=contracts)
        office = _Office(settings, output)
        topics = office.letters.topics() if topic is None else [office.letters.topic_of(topic).topic]
        wanted = partial(_wanted, causes=cause, since_ms=milliseconds(since))
        found = [letter for each in topics for letter in office.letters.read(each, wanted)]
        counted = groups(found, office.letters.replays())
        shown = counted[:limit]
        document = {"letters": len(found), "groups": shown}
        told = f"{len(found)} dead letters in {len(counted)} groups"
        output.result(document, told, table_of(GROUP_COLUMNS, map(group_row, shown)))


@app.command()
def show(
    position: Annotated[str, typer.Argument(help="TOPIC/PARTITION/OFFSET of the letter, or of its record.")],
    *,
    reveal: Annotated[bool, typer.Option("--reveal", help="Also key, bytes, and what names a person.")] = False,
    contracts: ContractsDir = None,
    bootstrap_servers: BootstrapServers = None,
    registry_url: RegistryUrl = None,
    json: Json = False,
) -> None:
    """Show a dead letter: cause, headers, and the record as far as it can be decoded."""
    with reporting(as_json=json) as output:
        settings = load_settings(bootstrap_servers=bootstrap_servers, registry_url=registry_url, contracts=contracts)
        office = _Office(settings, output)
        letter = office.letters.find(Position.parse(position))
        document = office.describe(letter, reveal=reveal)
        told = "put back already" if document["replayed"] else "not put back"
        output.result(document, told, table_of(("field", "value"), lines(document)))


@app.command()
def replay(
    topic: Annotated[str, typer.Argument(help="The topic whose records they are.")],
    *,
    position: Annotated[
        list[str] | None, typer.Option("--position", help="Of a letter, or of its record; may be repeated.")
    ] = None,
    cause: Causes = None,
    since: Since = None,
    value_file: Annotated[Path | None, typer.Option(help="JSON of a mended value, for one letter.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Also what was put back already.")] = False,
    operator: Annotated[str | None, typer.Option("--by", help="Who puts them back [HEADGATE_ADMIN_OPERATOR].")] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    contracts: ContractsDir = None,
    bootstrap_servers: BootstrapServers = None,
    registry_url: RegistryUrl = None,
    json: Json = False,
) -> None:
    """Put the records of dead letters back onto their topic, with key and headers, each once.

    What today's contract would refuse again is left. Exit code 1 where any letter is left.
    """
    with reporting(as_json=json) as output:
        settings = load_settings(
            bootstrap_servers=bootstrap_servers, registry_url=registry_url, contracts=contracts, operator=operator
        )
        office = _Office(settings, output)
        letters = office.choose(topic, position, cause, milliseconds(since))
        mended = None if value_file is None else office.encoded(topic, value_file, letters)
        candidates = office.replay(topic, letters, mended, again=again, dry_run=dry_run, yes=yes)
    if any(candidate.why_not for candidate in candidates):
        raise typer.Exit(ExitCode.REFUSED)


class _Office:
    """Where dead letters are looked at: the topics and schemas of the settings."""

    def __init__(self, settings: AdminSettings, output: Output) -> None:
        output.note(f"Kafka at {settings.origin(settings.kafka.bootstrap_servers)}")
        self._settings = settings
        self._output = output
        self._contracts = Contracts.load(settings.contracts_dir)
        self._connections = connect(settings)
        self.letters = Letters(self._contracts, self._connections, settings.replays_topic)

    def describe(self, letter: Letter, *, reveal: bool) -> dict[str, Any]:
        """All of a letter, in JSON form."""
        record = self._contracts.record(self._contracts.topic(letter.source.topic).record)
        replayed = self.letters.replays().get(letter.source)
        return describe(letter, replayed, self._connections.registry, record, reveal=reveal)

    def choose(
        self, topic: str, positions: Sequence[str] | None, causes: Sequence[str] | None, since_ms: int | None
    ) -> list[Letter]:
        """The letters that are meant.

        Raises:
            ConfigurationError: Nothing says which.
            RejectedError: There are none.
        """
        if bool(positions) == bool(causes):
            raise ConfigurationError("Say which letters: --position or --cause, one of them.")
        if positions:
            named = [self.letters.find(Position.parse(each)) for each in positions]
            return list({letter.source: letter for letter in named}.values())
        wanted = partial(_wanted, causes=causes, since_ms=since_ms)
        found = self.letters.read(self.letters.topic_of(topic).topic, wanted)
        if not found:
            raise RejectedError(f"No such dead letter of {topic}: `headgate dlq list {topic}` shows what there is.")
        return found

    def encoded(self, topic: str, path: Path, letters: Sequence[Letter]) -> bytes:
        """A mended value, as it is put back.

        Raises:
            ConfigurationError: There is no such file, or several letters would get the one value.
            ContractError: It is not of the topic's record.
        """
        if len(letters) != 1:
            raise ConfigurationError("--value-file mends one letter: name it with --position.")
        try:
            text = path.read_text("utf-8")
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error}") from error
        contract = self._contracts.topic(topic)
        record = self._contracts.record(contract.record)
        value = parse_value(text, record, where=str(path))
        return Encoder(self._connections.registry, contract.subject, record).encode(value)

    def replay(
        self, topic: str, letters: Sequence[Letter], mended: bytes | None, *, again: bool, dry_run: bool, yes: bool
    ) -> list[Candidate]:
        """Put letters back, and print what was done and what was left."""
        operator = self._settings.operator
        if operator is None:
            raise ConfigurationError("Say who puts them back: --by, or HEADGATE_ADMIN_OPERATOR.")
        contract = self._contracts.topic(topic)
        decoder = Decoder(self._connections.registry, self._contracts.record(contract.record))
        replayer = Replayer(topic, decoder, compile_rules(contract), self._connections.read_at, operator)
        plan = partial(replayer.plan, letters, value=mended, again=again)
        candidates = plan(self.letters.replays())
        if dry_run or not any(candidate.record for candidate in candidates):
            self._show(candidates, "would be put back")
            return candidates
        question = f"Put these records back onto {topic}?"
        self._output.confirm(question, partial(self._show, candidates, "would be put back"), yes=yes)
        producer = self._connections.transactions(f"admin-dlq-replay-{topic}")
        try:
            # Once more, now that nobody else replays this topic.
            candidates = plan(self.letters.replays())
            put_back(candidates, producer, self._notes(), operator, now_ms=time.time_ns() // 1_000_000)
        except FencedError as error:
            raise RejectedError(f"Somebody else replays {topic} now: look what they have put back.") from error
        finally:
            with suppress(HeadgateError):  # it says of what it was closed after, which is told already
                producer.close()
        self._show(candidates, "put back")
        return candidates

    def _notes(self) -> OutgoingNotes:
        topic = self._contracts.topic(self._settings.replays_topic)
        encoder = Encoder(self._connections.registry, topic.subject, self._contracts.record(topic.record))
        return OutgoingNotes(topic.topic, encoder)

    def _show(self, candidates: Sequence[Candidate], done: str) -> None:
        documents = [candidate.document() for candidate in candidates]
        rows = [(each["source"], each["cause"], each["left"] or done) for each in documents]
        count = sum(candidate.record is not None for candidate in candidates)
        summary = f"{count} {done}, {len(candidates) - count} left"
        output = {"replayed": count if done == "put back" else 0, "letters": documents}
        self._output.result(output, summary, table_of(("record", "cause", "what"), rows))


def _wanted(letter: Letter, *, causes: Sequence[str] | None, since_ms: int | None) -> bool:
    value = letter.value
    return (not causes or value["cause"] in causes) and (since_ms is None or value["failed_at"] >= since_ms)
