"""Steps taken beside others, in processes of their own; each case is a process, for a fork wants one thread."""

from __future__ import annotations

import subprocess
import sys
import textwrap

ENDS_S = 30.0


def run(program: str) -> list[str]:
    """Run a program that has ``beside``; return the lines it printed."""
    source = "import os, signal, time\nfrom headgate_runtime.children import beside\n" + textwrap.dedent(program)
    done = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=ENDS_S, check=True
    )
    return done.stdout.splitlines()


def test_a_step_runs_in_a_process_of_its_own_and_is_waited_for() -> None:
    lines = run("""
        read, write = os.pipe()
        def step():
            os.write(write, str(os.getpid()).encode())
        with beside(step):
            print("beside", flush=True)
        print(int(os.read(read, 20)) != os.getpid())
    """)
    assert lines == ["beside", "True"]


def test_a_step_that_fails_stops_nothing() -> None:
    lines = run("""
        def step():
            raise RuntimeError("a fault")
        with beside(step):
            pass
        print("on")
    """)
    assert lines == ["on"]


def test_a_step_that_hangs_is_killed() -> None:
    lines = run("""
        began = time.monotonic()
        with beside(signal.pause, timeout_s=0.3):
            pass
        print(time.monotonic() - began < 10)
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            print("no child left")
    """)
    assert lines == ["True", "no child left"]
