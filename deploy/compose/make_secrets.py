"""Makes the secrets of docker compose where they are missing: ``make compose-secrets``. They differ on every machine.

The folder is its owner's alone; the files in it can be read by everybody, for the containers' user is nobody's here.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path

FOLDER = Path(__file__).parents[2] / ".secrets"
ACTIONS = ("Admin", "Read", "Write", "List", "Tagging")


def contents() -> dict[str, str]:
    """Text by file name: the services' control token, Grafana's password, and one key to the lake as its store and as its clients want it."""
    access_key, secret_key = secrets.token_hex(10), secrets.token_urlsafe(30)
    credentials = [{"accessKey": access_key, "secretKey": secret_key}]
    identities = {"identities": [{"name": "headgate", "credentials": credentials, "actions": ACTIONS}]}
    return {
        "control-token": secrets.token_urlsafe(32),
        "grafana-password": secrets.token_urlsafe(18),
        "lake-identities.json": json.dumps(identities),
        "lake-credentials": f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n",
    }


def make(folder: Path = FOLDER) -> bool:
    """Write all of them, unless they are there; returns whether they were written."""
    new = contents()
    if all((folder / name).exists() for name in new):
        return False
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, text in new.items():
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o644)
    return True


if __name__ == "__main__":
    print("made" if make() else "there already:", FOLDER)  # noqa: T201 - what it says to a person
