"""The one error a contract can cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class ContractError(ValueError):
    """The contracts cannot be used as they are written.

    Attributes:
        problems: One text a problem, each naming the file and the field and saying what was expected.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))
