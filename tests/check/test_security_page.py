"""The threat model names its proofs: each file is there, and each test that is named by its name."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
PROOF = re.compile(r"`((?:agents|deploy|native|requirements|schemas|services|tests)/[\w./-]+)(?:::(\w+))?`")


def test_each_proof_of_a_control_exists() -> None:
    proofs = PROOF.findall(TEXT)
    assert len(proofs) > 20
    assert [path for path, _ in proofs if not (ROOT / path).exists()] == []
    named = [(path, name) for path, name in proofs if name]
    assert named
    assert [each for each in named if f"def {each[1]}(" not in (ROOT / each[0]).read_text(encoding="utf-8")] == []
