"""The embedded stack: real Kafka, a real schema registry, local Bedrock and Iceberg, without Docker."""
