"""Run the producer's HTTP service: ``python -m headgate_producer``."""

import sys

from headgate_runtime.lifecycle import run

from headgate_producer.app import build
from headgate_producer.config import Settings

if __name__ == "__main__":
    sys.exit(run(Settings, build))
