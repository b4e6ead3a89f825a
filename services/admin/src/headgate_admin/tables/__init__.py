"""The tables that topics are stored in."""
