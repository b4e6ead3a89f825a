"""``headgate schemas``: check contracts and bring their records into the registry."""
