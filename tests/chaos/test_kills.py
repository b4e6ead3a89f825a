"""What counts as recovered after a kill."""

from __future__ import annotations

from tests.chaos.kills import Recoveries


def test_a_kill_is_recovered_from_when_the_last_partition_has_an_output_again() -> None:
    recoveries = Recoveries(partitions=2)
    recoveries.killed("a", 10.0)
    recoveries.output(0, 10.1)
    recoveries.output(0, 11.0)
    assert recoveries.seconds() == []
    recoveries.output(1, 13.5)
    assert recoveries.seconds() == [3.5]


def test_an_output_at_the_moment_of_the_kill_is_none_of_its_recovery() -> None:
    recoveries = Recoveries(partitions=1)
    recoveries.killed("a", 10.0)
    recoveries.output(0, 10.0)
    assert recoveries.seconds() == []


def test_time_runs_from_the_later_kill_of_a_replica_that_had_not_recovered() -> None:
    recoveries = Recoveries(partitions=1)
    recoveries.killed("a", 10.0)
    recoveries.killed("a", 12.0)
    recoveries.output(0, 15.0)
    assert recoveries.seconds() == [3.0]
    assert len(recoveries.kills) == 2


def test_kills_of_two_replicas_are_timed_apart() -> None:
    recoveries = Recoveries(partitions=2)
    recoveries.killed("a", 10.0)
    recoveries.output(1, 10.5)
    recoveries.killed("b", 11.0)
    recoveries.output(0, 13.0)
    recoveries.output(1, 16.0)
    assert recoveries.seconds() == [3.0, 5.0]


def test_kills_of_whole_processes_are_timed_apart_from_those_of_workers() -> None:
    recoveries = Recoveries(partitions=1)
    recoveries.killed("a", 10.0)
    recoveries.output(0, 11.0)
    recoveries.killed("a", 20.0, whole=True)
    recoveries.output(0, 24.0)
    assert (recoveries.seconds(), recoveries.seconds(whole=True)) == ([1.0], [4.0])


def test_kills_that_overlap_are_told_from_those_that_were_alone() -> None:
    recoveries = Recoveries(partitions=1)
    for victim, at_s in (("a", 10.0), ("b", 10.5), ("c", 20.0)):
        if at_s == 20.0:
            recoveries.output(0, 12.0)
        recoveries.killed(victim, at_s)
    recoveries.output(0, 21.0)
    assert (recoveries.seconds(alone=True), recoveries.seconds(alone=False)) == ([1.0], [2.0, 1.5])
    assert recoveries.seconds() == [2.0, 1.5, 1.0]


def test_a_worker_whose_keeper_ends_over_it_counts_as_a_whole_process() -> None:
    recoveries = Recoveries(partitions=1)
    recoveries.killed("a", 10.0)
    recoveries.ended("a")
    recoveries.output(0, 14.0)
    recoveries.ended("a")
    assert (recoveries.seconds(), recoveries.seconds(whole=True)) == ([], [4.0])
