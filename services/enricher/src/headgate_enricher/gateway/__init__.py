"""What stands between an agent and the models: what a call may cost, which model gets it, and what it has cost."""
