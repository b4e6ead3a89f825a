"""Personal data is what the contract tags, and is masked wherever it recurs."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import pytest
from headgate_agent_toolkit.masking import Masker, tagged_fields
from headgate_agent_toolkit.untrusted import clean, mask
from headgate_schemas import Contracts
from hypothesis import given
from hypothesis import strategies as st

masker = Masker(tagged_fields(), ("note",))


def event(**attributes: Any) -> dict[str, Any]:
    return {"event_id": "e-1", "payload": {"attributes": {"user_id": "customer-4711", **attributes}}}


def test_the_tags_are_those_of_the_events_contract() -> None:
    contracts = Contracts.load()
    assert tagged_fields() == contracts.record(contracts.topic("raw-events").record).pii
    assert tagged_fields()["payload.attributes.user_id"] == "direct"


def test_every_tagged_value_is_masked() -> None:
    about = event(device_id="device-0815", country="KP")
    text = masker("Is CUSTOMER-4711 in KP with device-0815, or in kpop?", about)
    assert text == "Is [id] in [id] with [id], or in kpop?"


def test_a_newly_tagged_field_is_masked_without_a_change_of_code() -> None:
    tags = {**tagged_fields(), "payload.attributes.channel": "quasi"}
    about = event(channel="telephone")
    assert masker("by telephone", about) == "by telephone"
    assert Masker(tags, ("note",))("by telephone", about) == "by [id]"


def test_tagged_values_are_masked_in_lists_mappings_and_records_too() -> None:
    about = event() | {
        "friends": [{"name": "Ada"}, {"name": "Bea"}],
        "phones": {"home": "555-01"},
        "home": {"street": "Elm Row"},
    }
    tags = {"friends[].name": "direct", "phones{}": "direct", "home": "direct"}
    assert Masker(tags, ())("Ada met Bea in Elm Row, call 555-01", about) == "[id] met [id] in [id], call [id]"


def test_a_countrys_code_is_masked_in_its_own_case_only() -> None:
    assert masker("put it on my IT card", event(country="IT")) == "put it on my [id] card"


def test_direct_identifiers_cannot_be_made_text_of_the_prompt() -> None:
    tags = {**tagged_fields(), "payload.attributes.note": "direct"}
    with pytest.raises(ValueError, match=r"payload\.attributes\.note is tagged as direct personal data"):
        Masker(tags, ("note",))


@given(text=st.text(), identifiers=st.lists(st.text(max_size=8), max_size=4))
def test_what_is_ruled_out_by_a_look_is_what_a_search_would_not_find(text: str, identifiers: list[str]) -> None:
    text = clean(text + " ".join(identifiers).swapcase())
    assert mask(text, identifiers) == searched(text, identifiers)


@given(st.text(st.characters(codec="ascii")))
def test_cleaning_plain_text_is_folding_it(text: str) -> None:
    folded = unicodedata.normalize("NFKC", text)
    assert clean(text) == " ".join("".join(char for char in folded if char.isprintable() or char.isspace()).split())


def searched(text: str, identifiers: list[str]) -> str:
    for identifier in filter(None, map(clean, identifiers)):
        pattern = re.escape(identifier)
        if len(identifier) < 4:
            text = re.sub(rf"(?<!\w){pattern}(?!\w)", "[id]", text)
        else:
            text = re.sub(pattern, "[id]", text, flags=re.IGNORECASE)
    return mask(text, [])
