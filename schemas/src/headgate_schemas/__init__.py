"""Headgate's contracts as data (Avro records, topics, rules) and the package that reads them."""
