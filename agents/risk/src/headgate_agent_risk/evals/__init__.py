"""What the agent's rules, fallback and guard are worth, measured on labelled events; no model is asked here."""
