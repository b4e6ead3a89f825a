"""What every Headgate service is made of: Kafka, Avro, loop, lifecycle, control API, metrics, logs, dead letters."""
