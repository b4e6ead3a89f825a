"""Headgate's producer: replays files, generates labelled traffic, accepts events over HTTP."""
