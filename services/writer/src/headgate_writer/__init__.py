"""Headgate's lakehouse writer: Kafka to Iceberg, exactly once."""
