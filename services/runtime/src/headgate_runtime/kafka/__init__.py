"""Kafka as the services see it. The adapters in here are the only code that knows the client library."""
