"""The page on observability lists what the services export: names, types, labels, and units that the names hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.check.exported import SECTIONS, Exported, exported

PAGE = Path(__file__).parents[2] / "docs" / "observability.md"
ROW = re.compile(r"\| `(\w+)` \| (\w+) \| (\w+) \| ([\w, ]*) ?\| .+ \|")


def rows(section: str) -> list[re.Match[str]]:
    text = PAGE.read_text("utf-8").partition(f"\n### {section}\n")[2].partition("\n#")[0]
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    found = [ROW.fullmatch(line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found, strict=True) if match is None]
    return [match for match in found if match is not None]


def documented(section: str) -> set[Exported]:
    return {
        Exported(name, kind, tuple(label.strip() for label in labels.split(",") if label.strip()))
        for name, kind, _, labels in (row.groups() for row in rows(section))
    }


@pytest.mark.parametrize("section", list(SECTIONS))
def test_each_exported_metric_is_on_the_page_and_no_other_is(section: str) -> None:
    assert documented(section) == exported(section)


@pytest.mark.parametrize("section", list(SECTIONS))
def test_each_metrics_name_holds_its_unit(section: str) -> None:
    units = {row[1]: row[3] for row in rows(section)}
    assert {name: unit for name, unit in units.items() if unit.rstrip("s") not in name} == {}
