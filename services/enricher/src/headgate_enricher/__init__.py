"""Headgate's enricher: an agent decides on every event before it is stored, exactly once."""
