"""``python -m headgate_local``: the command line without the ``headgate`` root command."""

from __future__ import annotations

from headgate_local.cli import app

app(prog_name="headgate local")
