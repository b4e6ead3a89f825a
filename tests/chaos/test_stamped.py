"""Values whose id is put in place."""

from __future__ import annotations

import pytest

from tests.chaos.stamped import Stamp, id_of


def test_a_stamped_value_is_the_value_with_another_id() -> None:
    value = b"\x00head" + id_of(0).encode() + b"tail"
    assert Stamp.around(value, id_of(0)).of(1_234) == b"\x00head" + id_of(1_234).encode() + b"tail"
    assert len(id_of(1_234)) == len(id_of(0))


@pytest.mark.parametrize("value", [b"no id", id_of(0).encode() * 2])
def test_a_value_without_its_id_or_with_two_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="is not there once"):
        Stamp.around(value, id_of(0))
