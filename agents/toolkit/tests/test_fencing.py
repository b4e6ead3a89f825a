"""Fences, versions and conditions."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from headgate_agent_toolkit.conditions import Bounds, compile_when
from headgate_agent_toolkit.fencing import fence, texts
from headgate_agent_toolkit.masking import Masker, tagged_fields
from headgate_agent_toolkit.version import code_digest, version_of
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

FENCE = re.compile(r'\A<event nonce="([0-9a-f]{16})">(\{.*\})</event nonce="\1">\Z', re.DOTALL)


@given(text=st.text(st.sampled_from('<>/event nonce="{}\\&;\n\x00abc0123456789'), max_size=200))
def test_no_text_closes_the_fence(text: str) -> None:
    fenced = fence({"note": text}, "v1")
    match = FENCE.match(fenced)
    assert match
    assert json.loads(match.group(2)) == {"note": text}
    assert fenced.count("<") == fenced.count(">") == 2


def test_the_nonce_follows_from_content_and_version() -> None:
    fences = [fence({"note": note}, version) for note in "ab" for version in "ab"]
    nonces = {match.group(1) for each in fences if (match := FENCE.match(each))}
    assert len(nonces) == 4
    assert fences[0] == fence({"note": "a"}, "a")
    assert fence([1], "a", "result").startswith('<result nonce="')


def test_texts_are_cleaned_masked_and_cut_and_a_page_comes_without_its_query() -> None:
    attributes = {
        "user_id": "customer-4711",
        "note": "a\x07b customer-4711 " + "x" * 50,
        "page": "/p?q=1",
        "other": "x",
    }
    found = texts({"payload": {"attributes": attributes}}, {"note": 10, "page": 10}, Masker(tagged_fields(), ("note",)))
    assert found == {"note": "ab [id] xx", "page": "/p"}


def test_a_version_stands_for_its_parts_in_whatever_order() -> None:
    assert version_of({"a": {"x", "y"}, "b": 1}) == version_of({"b": 1, "a": {"y", "x"}})
    assert version_of({"a": 1}) != version_of({"a": 2})
    assert len(version_of({})) == 12


def test_code_is_that_of_the_package_and_of_what_agents_have_in_common() -> None:
    assert code_digest("headgate_agent_toolkit") != code_digest("headgate_schemas")
    assert len(code_digest("headgate_agent_toolkit")) == 64


@pytest.mark.parametrize(
    ("condition", "holds", "fails"),
    [
        (True, True, False),
        ("web", "web", "api"),
        ({"at_least": 2}, 2, 1),
        ({"at_most": 2}, 2, 3),
        ({"one_of": ["a", "b"]}, "b", "c"),
    ],
)
def test_a_condition_is_a_value_or_bounds(condition: object, holds: object, fails: object) -> None:
    expected = TypeAdapter[Any](bool | str | Bounds).validate_python(condition)
    test = compile_when({"x": expected})
    both = compile_when({"x": expected, "y": True})
    assert (test({"x": holds}), test({"x": fails})) == (True, False)
    assert (both({"x": holds, "y": True}), both({"x": holds, "y": False})) == (True, False)


def test_bounds_have_one_part() -> None:
    with pytest.raises(ValidationError, match="a condition is a value or one of"):
        Bounds(at_least=1, at_most=2)
