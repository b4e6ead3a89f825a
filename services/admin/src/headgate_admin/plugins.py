"""Command groups made of what the installed packages offer, found by entry point and loaded when used.

A package offers a ``typer.Typer`` under the group's name; the entry point's name is the command. Nothing here imports a
package that contributes, and one that cannot be loaded says so and leaves the others alone.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from headgate_admin.output import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def make_group(
    name: str,
    offered: Callable[[], Sequence[EntryPoint]],
    *,
    description: str,
    epilog: str | None = None,
    add_completion: bool = False,
) -> typer.Typer:
    """Build a command group over the commands that ``offered`` gives when it is used.

    Args:
        name: What a person types before the command: ``headgate``, ``headgate agent``.
        offered: Entry points of the commands.
        description: What the group is for.
        epilog: What stands below its commands.
        add_completion: Whether it can install completion for a shell.
    """

    class Group(_PluginGroup):
        path = name
        find = staticmethod(offered)

    app = typer.Typer(
        cls=Group,
        help=description,
        epilog=epilog,
        add_completion=add_completion,
        no_args_is_help=True,
        pretty_exceptions_show_locals=False,
    )

    @app.callback()
    def root() -> None:
        """Take no options: each command has its own."""

    root.__doc__ = description
    return app


def installed(group: str) -> Sequence[EntryPoint]:
    """What the installed packages offer under a group of entry points."""
    return tuple(entry_points(group=group))


def origin(offer: EntryPoint) -> str:
    """Where an offer comes from, for people."""
    return f"{offer.value} of {offer.dist.name}" if offer.dist is not None else offer.value


class _PluginGroup(TyperGroup):
    """Loads a command only when it is asked for: ``headgate topics list`` does not wait for an agent's libraries."""

    path: str
    find: Callable[[], Sequence[EntryPoint]]

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  # the signature is typer's
        return sorted({offer.name for offer in self.find()})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  # the signature is typer's
        offers = [offer for offer in self.find() if offer.name == cmd_name]
        if not offers:
            return None
        if len(offers) > 1:
            return self._unavailable(cmd_name, f"several packages offer it: {', '.join(map(origin, offers))}")
        return self._load(offers[0])

    def _load(self, offer: EntryPoint) -> Any:
        try:
            plugin = offer.load()
            if not isinstance(plugin, typer.Typer):
                return self._unavailable(offer.name, f"{origin(offer)} is a {type(plugin).__name__}, no typer.Typer")
            command = typer.main.get_command(plugin)
        except Exception as error:  # noqa: BLE001  # whatever goes wrong in a plugin is the plugin's, and is reported
            return self._unavailable(offer.name, f"{origin(offer)} cannot be loaded: {type(error).__name__}: {error}")
        command.name = offer.name
        return command

    def _unavailable(self, name: str, reason: str) -> Any:
        app = typer.Typer(add_completion=False)

        @app.command(
            name,
            help=f"Not available: {reason}",
            context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        )
        def explain() -> None:
            typer.echo(f"error: {self.path} {name} is not available: {reason}", err=True)
            raise typer.Exit(ExitCode.USAGE)

        return typer.main.get_command(app)
