"""A mapping file: how the rows of a file become events of a record. The field names stand there, never in this service."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from headgate_producer.files import Layout


class MappingError(ValueError):
    """A mapping cannot be used; the text names the file and each wrong entry and says what to do."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldSource(_Strict):
    """Where a field's value comes from: exactly one of the three.

    Attributes:
        column: Name of a column, or dotted path in a JSON line. An empty cell is null where the field takes null.
        constant: The same value for every row.
        template: Text with columns and the row's number in braces: ``shop-{order}-{row:06d}``.
    """

    column: str | None = None
    constant: str | int | float | bool | None = None
    template: str | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("give exactly one of column, constant or template")
        return self

    def placeholders(self) -> Iterator[str]:
        """Names of the columns read, ``row`` among them where the template has it.

        Raises:
            ValueError: The template is malformed.
        """
        if self.column is not None:
            yield self.column
        for _, name, _, conversion in string.Formatter().parse(self.template or ""):
            if conversion is not None:
                raise ValueError(f"{{{name}!{conversion}}} has a conversion; write {{{name}}}")
            if name is not None:
                yield name


class TimeSource(_Strict):
    """Where the event's time comes from, and where it is moved to.

    Attributes:
        column: Name of a column, or dotted path in a JSON line.
        format: ``epoch_ms``, ``epoch_s``, ``iso8601`` or a ``strptime`` format (UTC unless it has ``%z``).
        resolution_s: Seconds one recorded time stands for; equal times are spread over it in the file's order.
        end: ``now`` or an ISO 8601 time the latest row is moved to; None leaves times as recorded.
        span_s: Seconds from the earliest to the latest row after the move.
        compression: Times are moved this much closer together instead; 365 makes a year a day.
        order: ``time`` sorts rows by time; ``file`` trusts the file's order. Sorting, ``end`` and ``resolution_s``
            hold the file's rows in memory; without them a file of any size streams.
    """

    column: str
    format: str
    resolution_s: float | None = Field(default=None, gt=0)
    end: Literal["now"] | datetime | None = None
    span_s: float | None = Field(default=None, gt=0)
    compression: float | None = Field(default=None, gt=0)
    order: Literal["time", "file"] = "time"

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.span_s is not None and self.compression is not None:
            raise ValueError("give span_s or compression, not both")
        if self.end is None and (self.span_s is not None or self.compression is not None):
            raise ValueError("span_s and compression need `end`: now, or the time the latest row is moved to")
        if isinstance(self.end, datetime) and self.end.tzinfo is None:
            raise ValueError("`end` names no time zone; end it with Z or an offset such as +02:00")
        return self

    def over(self, span_s: float) -> Self:
        """The same, over another span; ends now where the mapping says no end."""
        return self.model_copy(update={"span_s": span_s, "compression": None, "end": self.end or "now"})

    @property
    def streams(self) -> bool:
        """Rows can be passed on one by one."""
        return self.order == "file" and self.end is None and self.resolution_s is None


class MappingSpec(_Strict):
    """A mapping file.

    Attributes:
        description: What is mapped, and where it comes from.
        record: Name of the record the rows become.
        source: How the file is laid out.
        fields: Source of each field, by dotted path; fields of the record that are not named take their default.
        time: Source of the field the topic's contract calls the event's time.
        label: Source of the row's label, for the side file; never part of the event.
    """

    description: str
    record: str
    source: Layout
    fields: Mapping[str, FieldSource] = Field(min_length=1)
    time: TimeSource
    label: FieldSource | None = None


def load_mapping(name: str, directory: Path) -> MappingSpec:
    """Read a mapping.

    Args:
        name: Path of a YAML file, or the name of one in ``directory`` without its ending.
        directory: Folder of the mappings that come with the contracts.

    Raises:
        MappingError: There is no such file, or it is no mapping.
    """
    path = _locate(name, directory)
    try:
        return MappingSpec.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise MappingError(f"{path}: cannot be read: {error}") from error
    except ValidationError as error:
        wrong = [f"{path}: {'.'.join(map(str, each['loc'])) or 'the file'}: {each['msg']}" for each in error.errors()]
        raise MappingError("\n".join(wrong)) from error


def _locate(name: str, directory: Path) -> Path:
    given = Path(name)
    if given.suffix in {".yaml", ".yml"} and given.is_file():
        return given
    shipped = directory / f"{name}.yaml"
    if given.name == name and shipped.is_file():
        return shipped
    known = ", ".join(sorted(path.stem for path in directory.glob("*.yaml"))) or "none"
    raise MappingError(
        f"no mapping {name!r}; give the path of a .yaml file, or the name of one in {directory}: {known}"
    )
