"""Runs the enricher: ``python -m headgate_enricher``."""

import sys

from headgate_runtime.lifecycle import run

from headgate_enricher.app import build
from headgate_enricher.config import Settings

if __name__ == "__main__":
    sys.exit(run(Settings, build))
