"""Replays of decided events."""
