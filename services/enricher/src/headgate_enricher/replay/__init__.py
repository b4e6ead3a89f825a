"""Replays: recorded events decided again, by today's code, into a topic of their own."""
