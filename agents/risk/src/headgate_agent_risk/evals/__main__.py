"""Run ``python -m headgate_agent_risk.evals``."""

from headgate_agent_risk.evals.cli import app

app(prog_name="headgate agent eval --agent risk")
