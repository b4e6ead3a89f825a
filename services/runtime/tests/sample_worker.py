"""A worker under a keeper, run as a process by the keeper's tests: says who it is, and ends as it is told."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from headgate_runtime.keeper import keep

FOREVER_S = 3600.0


def work(number: int) -> int:
    """Write ``<number> <pid>`` to the file named by the first argument; then do what the second one says."""

    def end(_: int, __: object) -> None:
        with Path(sys.argv[1]).open("a") as out:
            out.write("told to end\n")
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    with Path(sys.argv[1]).open("a") as out:
        out.write(f"{number} {os.getpid()}\n")
    match sys.argv[2]:
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise RuntimeError("a defect")
        case "return":
            return 3
    time.sleep(FOREVER_S)
    return 0


if __name__ == "__main__":
    sys.exit(keep(work))
