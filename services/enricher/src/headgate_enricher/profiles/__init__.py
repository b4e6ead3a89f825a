"""What the processor tells of keys, at hand for the events that a model is asked about."""
