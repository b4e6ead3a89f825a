"""The command ``headgate``: command groups of whatever is installed, offered under ``headgate.commands``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_admin.plugins import installed, make_group

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.metadata import EntryPoint

    import typer

GROUP = "headgate.commands"
_HELP = "Operate Headgate: contracts, topics, agents, and what the installed packages add."
_EPILOG = (
    "Every command takes --json. Exit codes: 0 done; 1 problems found, changes pending (diff) or refused; "
    "2 wrong usage or settings; 3 a broker or the registry does not answer, try again. A group that differs says so."
)


def offers() -> Sequence[EntryPoint]:
    """Every command group that an installed package offers."""
    return installed(GROUP)


def make_app(offered: Callable[[], Sequence[EntryPoint]] = offers) -> typer.Typer:
    """Build the command line over the command groups that ``offered`` gives when it is used."""
    return make_group("headgate", offered, description=_HELP, epilog=_EPILOG, add_completion=True)


def main() -> None:
    """Run the command line; the console script."""
    make_app()()
