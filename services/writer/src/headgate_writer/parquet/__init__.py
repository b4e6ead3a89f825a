"""Arrow rows to Iceberg data files in Parquet; knows nothing of Kafka, commits or contracts."""

from headgate_writer.parquet.writer import DataFileWriter

__all__ = ["DataFileWriter"]
