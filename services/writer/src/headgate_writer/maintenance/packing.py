"""Which small files are worth one large one."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from pyiceberg.utils.bin_packing import ListPacker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from headgate_writer.maintenance.reachability import LiveFile

Partition = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be compacted.

    Attributes:
        groups: Files that become one file each; those of a group have one partition value.
        small: Small files there are, in groups or not.
        more: Whether there are groups that this piece had no room for.
    """

    groups: Sequence[Sequence[LiveFile]] = ()
    small: int = 0
    more: bool = False


@dataclass(frozen=True, slots=True)
class CompactionPolicy:
    """When small files are compacted, and how much at a time.

    Files of a partition that still grows are merged with others of their magnitude, ``fan_in`` at a time, so that a row
    is written once a magnitude and not once a merge. A partition that has been quiet is merged down to full files.

    Attributes:
        fan_in: Files of one magnitude that are merged; magnitudes are powers of it below the target.
        size_bytes: Arrow bytes of the rows of one group, at most; sorting and writing them takes three times that.
        cold_s: Seconds without a new file after which a partition counts as quiet.
    """

    fan_in: int = 16
    size_bytes: int = 256 * 1024 * 1024
    cold_s: float = 3600.0

    def plan(
        self,
        files: Iterable[LiveFile],
        quiet_s: Mapping[Partition, float],
        *,
        target_bytes: int,
        row_bytes: float,
        everything: bool = False,
    ) -> Plan:
        """Choose one piece of work, the partitions with most files to merge first.

        Args:
            files: Live files of one partition spec.
            quiet_s: Seconds since a partition last got a file.
            target_bytes: The table's target for a file's size, Parquet bytes.
            row_bytes: Arrow bytes of a row.
            everything: Take every partition for a quiet one.
        """
        weigh = partial(_weight, row_bytes=row_bytes * target_bytes / self.size_bytes)
        small: dict[Partition, list[LiveFile]] = defaultdict(list)
        for file in files:
            if weigh(file) < target_bytes / 2:
                small[file.partition].append(file)
        groups: list[list[LiveFile]] = []
        for partition, found in small.items():
            cold = everything or quiet_s.get(partition, 0.0) >= self.cold_s
            chosen = found if cold else self._full_magnitudes(found, lambda file: target_bytes / weigh(file))
            groups += _packed(chosen, target_bytes, weigh)
        groups.sort(key=len, reverse=True)
        piece = groups[: _fitting([sum(map(weigh, group)) for group in groups], target_bytes)]
        return Plan(piece, sum(map(len, small.values())), more=len(piece) < len(groups))

    def _full_magnitudes(self, files: Sequence[LiveFile], times: Callable[[LiveFile], float]) -> list[LiveFile]:
        """Return the files of the largest magnitude that has enough of them, and all that are smaller.

        Args:
            files: Small files.
            times: How many of a file make a full one.
        """
        by_magnitude: dict[int, list[LiveFile]] = defaultdict(list)
        for file in files:
            by_magnitude[math.floor(math.log(times(file), self.fan_in))].append(file)
        full = [magnitude for magnitude, found in by_magnitude.items() if len(found) >= self.fan_in]
        return [file for magnitude, found in by_magnitude.items() if full and magnitude >= min(full) for file in found]


class Quiet:
    """Remembers since when each partition has had no new file; compacted ones are not new."""

    def __init__(self) -> None:
        self._newest: dict[Partition, tuple[int, float]] = {}

    def observe(self, files: Iterable[LiveFile], now_s: float) -> Mapping[Partition, float]:
        """Return the seconds since a new file was first seen in each partition.

        Args:
            files: Live files.
            now_s: Monotonic seconds.
        """
        newest: dict[Partition, int] = {}
        for file in files:
            newest[file.partition] = max(newest.get(file.partition, 0), file.sequence_number)
        known = self._newest
        self._newest = {
            partition: known[partition] if known.get(partition, (None, 0))[0] == number else (number, now_s)
            for partition, number in newest.items()
        }
        return {partition: now_s - since for partition, (_, since) in self._newest.items()}


def _packed(files: Sequence[LiveFile], target: int, weigh: Callable[[LiveFile], int]) -> list[list[LiveFile]]:
    """Pack neighbours in time into bins of the target's size; a bin of one is no work."""
    ordered = sorted(files, key=lambda file: file.sequence_number)
    packer: ListPacker[LiveFile] = ListPacker(target, lookback=1, largest_bin_first=False)
    return [group for group in packer.pack(ordered, weigh) if len(group) > 1]


def _fitting(weights: Sequence[int], most: int) -> int:
    """Return how many of the first fit in together; one always does."""
    sums = accumulate(weights)
    return max(1, sum(each <= most for each in sums))


def _weight(file: LiveFile, *, row_bytes: float) -> int:
    """Weigh a file by its size or, where that is more, its rows: columns of one value compress to nothing."""
    return max(1, file.size_bytes, math.ceil(file.rows * row_bytes))
