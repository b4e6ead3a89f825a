"""The command ``headgate``: command groups of whatever is installed, found by entry point and loaded when used.

A package offers a ``typer.Typer`` under the group ``headgate.commands``; the entry point's name is the command. Nothing here
imports a package that contributes, and one that cannot be loaded says so and leaves the others alone.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from headgate_admin.output import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GROUP = "headgate.commands"
_HELP = "Operate Headgate: contracts, topics, and what the installed packages add."
_EPILOG = (
    "Every command takes --json. Exit codes: 0 done; 1 problems found, changes pending (diff) or refused; "
    "2 wrong usage or settings; 3 a broker or the registry does not answer, try again. A group that differs says so."
)


def installed() -> Sequence[EntryPoint]:
    """Every command group that an installed package offers."""
    return tuple(entry_points(group=GROUP))


def make_app(offered: Callable[[], Sequence[EntryPoint]] = installed) -> typer.Typer:
    """Build the command line over the command groups that ``offered`` gives when it is used."""

    class Groups(_CommandGroups):
        find = staticmethod(offered)

    app = typer.Typer(cls=Groups, help=_HELP, epilog=_EPILOG, no_args_is_help=True, pretty_exceptions_show_locals=False)

    @app.callback()
    def root() -> None:
        """Take no options: each command has its own."""

    root.__doc__ = _HELP
    return app


def main() -> None:
    """Run the command line; the console script."""
    make_app()()


class _CommandGroups(TyperGroup):
    """Loads a group only when it is asked for: ``headgate topics list`` does not wait for an agent's libraries."""

    find: Callable[[], Sequence[EntryPoint]]

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  # the signature is typer's
        return sorted({offer.name for offer in self.find()})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  # the signature is typer's
        offers = [offer for offer in self.find() if offer.name == cmd_name]
        if not offers:
            return None
        if len(offers) > 1:
            return _unavailable(cmd_name, f"several packages offer it: {', '.join(map(_origin, offers))}")
        return _load(offers[0])


def _load(offer: EntryPoint) -> Any:
    try:
        plugin = offer.load()
        if not isinstance(plugin, typer.Typer):
            return _unavailable(offer.name, f"{_origin(offer)} is a {type(plugin).__name__}, no typer.Typer")
        command = typer.main.get_command(plugin)
    except Exception as error:  # noqa: BLE001  # whatever goes wrong in a plugin is the plugin's, and is reported
        return _unavailable(offer.name, f"{_origin(offer)} cannot be loaded: {type(error).__name__}: {error}")
    command.name = offer.name
    return command


def _origin(offer: EntryPoint) -> str:
    return f"{offer.value} of {offer.dist.name}" if offer.dist is not None else offer.value


def _unavailable(name: str, reason: str) -> Any:
    app = typer.Typer(add_completion=False)

    @app.command(
        name,
        help=f"Not available: {reason}",
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )
    def explain() -> None:
        typer.echo(f"error: headgate {name} is not available: {reason}", err=True)
        raise typer.Exit(ExitCode.USAGE)

    return typer.main.get_command(app)
