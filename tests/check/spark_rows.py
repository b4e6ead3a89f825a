"""Reads an Iceberg table with Spark and writes its rows to one Parquet file, with none of Headgate's code or packages.

Run by ``tests.check.engines``, by a Python that has pyspark: ``spark_rows.py METADATA_JSON RUNTIME_JAR FOLDER``.
"""

import sys

from pyspark.sql import SparkSession


def main(metadata: str, runtime: str, folder: str) -> None:
    """Write the rows of the table with this metadata file below a folder, ordered by their position."""
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.jars", runtime)
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
        .getOrCreate()
    )
    rows = spark.read.format("iceberg").load(metadata)
    rows.orderBy("_kafka_partition", "_offset").coalesce(1).write.mode("overwrite").parquet(folder)
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
