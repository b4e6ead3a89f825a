"""Run the local Bedrock endpoint: ``python -m headgate_bedrock_local``."""

import sys

from headgate_bedrock_local.app import main

if __name__ == "__main__":
    sys.exit(main())
