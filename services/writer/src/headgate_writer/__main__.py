"""Run the writer: ``python -m headgate_writer``."""

import sys

from headgate_runtime.lifecycle import run

from headgate_writer.app import build
from headgate_writer.config import Settings

if __name__ == "__main__":
    sys.exit(run(Settings, build))
