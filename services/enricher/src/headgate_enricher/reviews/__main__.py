"""Runs the join of reviews: ``python -m headgate_enricher.reviews``."""

import gc
import sys

if __name__ == "__main__":
    gc.disable()  # imports leave no garbage, and looking for it is a sixth of their time; the runtime enables it again
    from headgate_runtime.lifecycle import run

    from headgate_enricher.reviews.app import build
    from headgate_enricher.reviews.config import Settings

    sys.exit(run(Settings, build))
