"""``headgate smoke``: one event through the whole platform."""
