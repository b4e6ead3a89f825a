"""Definitions read from their folder, and held against the contracts of the topics they name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from headgate_runtime.errors import ConfigurationError
from headgate_schemas import ContractError
from pydantic import ValidationError

from headgate_processor.definition import Definition

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from headgate_schemas import Contracts, RecordSchema, TopicContract

SHIPPED: Final = Path(__file__).parent / "definitions"
_NUMBERS: Final = frozenset({"int", "long", "float", "double"})
_PLAIN: Final = _NUMBERS | {"string", "boolean"}


@dataclass(frozen=True, slots=True)
class Catalog:
    """The definitions over one topic, and the contracts they rest on.

    Attributes:
        source: Topic of the events.
        profiles: Definitions whose key is the events' own: each partition has whole windows of its keys.
        metrics: Definitions with other keys: each partition has parts of their windows.
    """

    source: TopicContract
    profiles: tuple[Definition, ...]
    metrics: tuple[Definition, ...]

    @property
    def definitions(self) -> tuple[Definition, ...]:
        """All of them."""
        return (*self.profiles, *self.metrics)


def read_definitions(folder: Path) -> list[Definition]:
    """Read every ``<name>.yaml`` of a folder.

    Raises:
        ConfigurationError: Names each file and field that is wrong.
    """
    problems: list[str] = []
    definitions: list[Definition] = []
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise ConfigurationError(f"no definitions in {folder}: put a <name>.yaml there, or name another folder")
    for path in paths:
        try:
            definition = Definition.model_validate(_read(path))
        except (yaml.YAMLError, OSError) as error:
            problems.append(f"{path.name}: not YAML: {error}")
        except ValidationError as error:
            problems += [f"{path.name}: {_where(each['loc'])}: {each['msg']}" for each in error.errors()]
        else:
            definitions.append(definition)
            if path.name != f"{definition.name}.yaml":
                problems.append(f"{path.name}: name: says {definition.name!r}; name the file after the definition")
    if problems:
        raise ConfigurationError("\n".join(problems))
    return definitions


def build_catalog(
    definitions: Sequence[Definition], contracts: Contracts, *, profiles_topic: str, metrics_topic: str
) -> Catalog:
    """Hold definitions against the contracts.

    Raises:
        ConfigurationError: Names each definition and field that is wrong.
    """
    sources = sorted({definition.source for definition in definitions})
    if len(sources) > 1:
        raise ConfigurationError(f"definitions are over {', '.join(sources)}: one processor reads one topic")
    try:
        source = contracts.topic(sources[0])
    except ContractError as error:
        raise ConfigurationError(f"source: {error}") from error
    if source.fields.key is None or source.fields.event_time is None:
        raise ConfigurationError(f"topic {source.topic} names no key or no event_time: add both to its contract")
    outputs = {profiles_topic: (source.fields.key,), metrics_topic: None}
    problems = [
        f"{definition.name}: {problem}"
        for definition in definitions
        for problem in _problems(definition, contracts.record(source.record), outputs, profiles_topic)
    ]
    if problems:
        raise ConfigurationError("\n".join(problems))
    return Catalog(
        source,
        tuple(each for each in definitions if each.output == profiles_topic),
        tuple(each for each in definitions if each.output == metrics_topic),
    )


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def _where(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "the file"


def _problems(
    definition: Definition, record: RecordSchema, outputs: Mapping[str, tuple[str, ...] | None], profiles_topic: str
) -> Iterator[str]:
    if definition.output not in outputs:
        yield f"output: {definition.output} takes no windows; there are {', '.join(outputs)}"
        return
    wanted = outputs[definition.output]
    if wanted is not None and definition.key != wanted:
        yield f"key: {definition.output} is kept by the events' own key: write [{', '.join(wanted)}]"
    whole = definition.output == profiles_topic
    if not whole and any(window.kind == "session" for window in definition.windows):
        yield f"windows: a session has no parts that could be merged: {definition.output} takes tumbling and hopping ones"
    if any(each.kind == "drift" for each in definition.aggregates):
        if whole:
            yield f"aggregates: drift looks back at windows, which {definition.output} does not do"
        if any(window.kind != "tumbling" for window in definition.windows):
            yield "aggregates: drift compares windows that do not overlap: write kind: tumbling"
    if whole and (unfit := sorted({each.kind for each in definition.aggregates} & {"percentiles", "histogram"})):
        yield f"aggregates: {definition.output} holds no {' and no '.join(unfit)}: its keys are many"
    if whole and definition.alerts:
        yield f"alerts: they are raised over {', '.join(each for each in outputs if each != profiles_topic)}"
    yield from _field_problems(definition, record)


def _field_problems(definition: Definition, record: RecordSchema) -> Iterator[str]:
    numbers = definition.number_paths()
    for path, where in definition.field_paths().items():
        kind = record.field_type(path)
        if kind is None:
            yield f"{where}: {record.label} has no field {path}"
            continue
        branches = kind if isinstance(kind, list) else [kind]
        kinds = {str(each["type"] if isinstance(each, dict) else each) for each in branches} - {"null"}
        if path in numbers and not kinds <= _NUMBERS:
            yield f"{where}: {path} is no number"
        elif not kinds <= _PLAIN:
            yield f"{where}: {path} is no plain value: name a field inside it"
