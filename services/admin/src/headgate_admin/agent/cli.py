"""``headgate agent``: commands about agents, of any installed package that offers some under ``headgate.agent_commands``."""

from __future__ import annotations

from functools import partial

from headgate_admin.plugins import installed, make_group

GROUP = "headgate.agent_commands"

app = make_group("headgate agent", partial(installed, GROUP), description="Make and evaluate agents.")
