"""Which partition a key goes to: the same as the Java client's."""

from __future__ import annotations

from typing import Final

from confluent_kafka.cimpl import murmur2

# librdkafka's name for the Java client's choice: murmur2 of the key, any partition without a key.
PARTITIONER: Final = "murmur2_random"


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key in a topic with that many partitions."""
    return int(murmur2(key, partitions))
