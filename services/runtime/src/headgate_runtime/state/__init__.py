"""State by key beside a consumed partition: in memory, bounded, and kept in a compacted topic."""

from headgate_runtime.state.partition import Codec, PartitionState
from headgate_runtime.state.scratch import Scratch
from headgate_runtime.state.spill import Spill
from headgate_runtime.state.store import ReadRange, StateStore

__all__ = ["Codec", "PartitionState", "ReadRange", "Scratch", "Spill", "StateStore"]
