"""Runs the processor: ``python -m headgate_processor``."""

import gc
import sys

if __name__ == "__main__":
    gc.disable()  # imports leave no garbage, and looking for it is a sixth of their time; the runtime enables it again
    from headgate_runtime.lifecycle import run

    from headgate_processor import starting
    from headgate_processor.config import Settings

    sys.exit(run(Settings, starting.build, starting.preload, starting.settle))
