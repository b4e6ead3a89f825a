"""POST /control/forget: what agents remember of a key is dropped by the replica that holds it, in its own transaction.

A tombstone from outside would not do: the owner has the key in memory and writes it again with the key's next event.
"""

from __future__ import annotations

import queue
from concurrent.futures import Future
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, HTTPException
from headgate_runtime.access import REFUSALS, ControlCaller, Problem, audited
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from headgate_enricher.work import Partition

TIMEOUT_S: Final = 15.0
_CONFLICT: Final = HTTPStatus.CONFLICT.value
_UNAVAILABLE: Final = HTTPStatus.SERVICE_UNAVAILABLE.value


@dataclass(eq=False, slots=True)
class _Request:
    """A key to forget: the partitions where that waits for its events, where it is staged, and where it is committed."""

    key: bytes
    answer: Future[list[int]] = field(default_factory=Future)
    waiting: list[Partition] = field(default_factory=list)
    staged: list[Partition] = field(default_factory=list)
    done: list[int] = field(default_factory=list)


class Forgetting:
    """Hands keys to forget to the loop's thread, and tells who asked once their removal is committed."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[_Request] = queue.SimpleQueue()
        self._requests: list[_Request] = []

    def ask(self, key: bytes) -> Future[list[int]]:
        """Ask from any thread; the result is the numbers of the partitions that have forgotten the key.

        Those are all that this replica owned from the call to the commit. Cancelling takes back what is not staged.
        """
        request = _Request(key)
        self._asked.put(request)
        return request.answer

    def stage(self, owned: Collection[Partition]) -> bool:
        """Stage what can be forgotten now; True where there is something to commit.

        A key with an event at the model waits for it: the event carries what was remembered before it.

        Args:
            owned: The partitions this replica owns and has placed.
        """
        while not self._asked.empty():
            request = self._asked.get()
            request.waiting = list(owned)
            self._requests.append(request)
        self._requests = [request for request in self._requests if not request.answer.cancelled()]
        ready = [(request, part) for request in self._requests for part in request.waiting if _free(request, part)]
        for request, partition in ready:
            request.waiting.remove(partition)
            request.staged.append(partition)
            for memories in partition.memories:
                memories.put(request.key, None)
                memories.stage(request.key, None)
            partition.progress.changed = True
        self._settle(owned)
        return bool(ready)

    def committed(self, owned: Collection[Partition]) -> None:
        """What was staged is committed; answers those who asked."""
        for request in self._requests:
            request.done += [partition.source.partition for partition in request.staged if partition in owned]
            request.staged = []
        self._settle(owned)

    def _settle(self, owned: Collection[Partition]) -> None:
        """Answer requests of which nothing is left but what belongs to other replicas now."""
        for request in self._requests:
            request.waiting = [partition for partition in request.waiting if partition in owned]
            request.staged = [partition for partition in request.staged if partition in owned]
            over = not request.waiting and not request.staged
            if over and request.answer.set_running_or_notify_cancel():
                request.answer.set_result(sorted(request.done))
        self._requests = [request for request in self._requests if not request.answer.done()]


def _free(request: _Request, partition: Partition) -> bool:
    return not partition.lanes.holds(request.key)


class Forget(BaseModel):
    """The key of the events whose memory goes: the person's."""

    model_config = ConfigDict(extra="forbid")

    key: Annotated[str, Field(min_length=1)]


class Forgotten(BaseModel):
    """Where the key is forgotten: in these partitions of the topic, in these namespaces of the memory's topic."""

    topic: str
    partitions: list[int]
    namespaces: list[str]


def forget_router(forgetting: Forgetting, topic: str, namespaces: Sequence[str]) -> APIRouter:
    """Make the router of ``/control/forget``.

    Args:
        forgetting: Takes keys to the loop.
        topic: The consumed topic.
        namespaces: Starts of this replica's keys in the memory's topic: group and agent.
    """
    router = APIRouter(prefix="/control", tags=["control"], responses=REFUSALS)

    @router.post(
        "/forget",
        responses={
            _CONFLICT: {"model": Problem, "description": "This replica owns no partition now."},
            _UNAVAILABLE: {"model": Problem, "description": "Not committed in time; ask again."},
        },
    )
    def forget(body: Forget, caller: ControlCaller) -> Forgotten:
        """Drop what the agents remember of a key in every partition this replica owns; ask every replica.

        Answers once that is committed. The key's next event begins a new memory.
        """
        with audited(caller, "forget"):
            partitions = _result(forgetting.ask(body.key.encode()))
        return Forgotten(topic=topic, partitions=partitions, namespaces=list(namespaces))

    return router


def _result(answer: Future[list[int]]) -> list[int]:
    try:
        partitions = answer.result(TIMEOUT_S)
    except TimeoutError as error:
        answer.cancel()
        detail = (
            f"Not committed within {TIMEOUT_S:g} s: events of the key are at the model, or brokers are away. Ask again."
        )
        raise HTTPException(_UNAVAILABLE, detail) from error
    if not partitions:
        raise HTTPException(_CONFLICT, "This replica owns no partition now. Ask the others, and this one again later.")
    return partitions
