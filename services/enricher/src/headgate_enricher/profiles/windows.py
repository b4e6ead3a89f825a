"""The last windows of the keys of a few partitions, as they were written, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from headgate_runtime.records import Record

Windows = dict[str, bytes]


class WindowTable:
    """Windows by partition, key and name. Beyond the capacity the keys go whose windows are the oldest.

    Args:
        capacity: Most keys, of all partitions together; each has its share.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        # Keys in the order of their last window.
        self._partitions: dict[int, OrderedDict[bytes, Windows]] = {}

    def __len__(self) -> int:
        """Keys held."""
        return sum(map(len, self._partitions.values()))

    @property
    def partitions(self) -> Collection[int]:
        """The partitions that are held."""
        return self._partitions.keys()

    def add(self, numbers: Collection[int]) -> None:
        """Hold windows of these partitions as well."""
        for number in numbers:
            self._partitions[number] = OrderedDict()
        for keys in self._partitions.values():
            self._make_room(keys)

    def drop(self, numbers: Collection[int]) -> None:
        """Hold no windows of these partitions any more."""
        for number in numbers:
            del self._partitions[number]

    def take(self, record: Record) -> None:
        """Take in a record with the key ``window/key``; one of a partition that is not held is passed over."""
        keys = self._partitions.get(record.partition)
        if keys is None or record.key is None:
            return
        name, _, key = record.key.partition(b"/")
        windows = keys.setdefault(key, {})
        if record.value is None:
            windows.pop(name.decode(), None)
        else:
            windows[name.decode()] = record.value
        if not windows:
            del keys[key]
            return
        keys.move_to_end(key)
        self._make_room(keys)

    def of(self, number: int, key: bytes) -> Mapping[str, bytes]:
        """The windows of a key, by their names; empty where none are held."""
        keys = self._partitions.get(number)
        return {} if keys is None else keys.get(key, {})

    def _make_room(self, keys: OrderedDict[bytes, Windows]) -> None:
        share = max(1, self._capacity // len(self._partitions))
        while len(keys) > share:
            keys.popitem(last=False)
