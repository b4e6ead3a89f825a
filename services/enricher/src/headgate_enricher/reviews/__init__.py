"""Joins what people decided with what they were asked: a later record of the event, with the next revision."""
