"""Spans of sampled events, beside the parts that decide: nothing of this is there where no endpoint is configured."""
