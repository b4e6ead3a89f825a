"""``headgate agent eval``: runs the evaluation that an agent's package offers under ``headgate.agent_evaluations``.

What it takes, measures and demands is the agent's own; everything but ``--agent`` is handed on as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from headgate_runtime.errors import ConfigurationError

from headgate_admin.output import reporting
from headgate_admin.plugins import installed

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "headgate.agent_evaluations"

app = typer.Typer(add_completion=False)


@app.command(
    "eval", context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)
def evaluate(
    context: typer.Context,
    agent: Annotated[str, typer.Option(help="Agent to evaluate, as its entry point is named.")] = "risk",
) -> None:
    """Evaluate an agent: --agent NAME, then what its evaluation takes; --help shows that."""
    with reporting(as_json=False):
        evaluation = _evaluation(agent)
        command = typer.main.get_command(evaluation.load())
    command.main(args=context.args, prog_name=f"headgate agent eval --agent {agent}")


def _evaluation(agent: str) -> EntryPoint:
    found = {offer.name: offer for offer in installed(GROUP)}
    if agent not in found:
        known = ", ".join(sorted(found)) or "none"
        raise ConfigurationError(
            f"No evaluation of an agent {agent!r} (found: {known}): install its package, or name another."
        )
    return found[agent]
