"""Shadow agents: they decide on decided events, and nothing comes of it but a record of where they diverge."""
