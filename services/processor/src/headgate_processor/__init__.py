"""Headgate's processor: windows over decided events, by account and by decision, exactly once."""
