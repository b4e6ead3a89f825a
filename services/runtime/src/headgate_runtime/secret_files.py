"""Secrets in files, as orchestrators mount them: read when they are needed, because they are replaced while we run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_runtime.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


def read_secret(path: Path, setting: str) -> str:
    """Return what a file holds, without the white space around it.

    Args:
        path: The file.
        setting: The setting that names it, for the text of the error: ``KAFKA__PASSWORD_FILE``.

    Raises:
        ConfigurationError: It cannot be read, or holds nothing; says so without a word of its content.
    """
    text = _text(path, setting).strip()
    if not text:
        raise ConfigurationError(f"{setting}: {path} is empty: write the secret into it")
    return text


def require_readable(path: Path, setting: str) -> str:
    """Return the path as text where a library is to read the file itself.

    Raises:
        ConfigurationError: It cannot be read.
    """
    _text(path, setting)
    return str(path)


def _text(path: Path, setting: str) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{setting}: {path} is no text in UTF-8: write the secret anew") from None
    except OSError as error:
        raise ConfigurationError(
            f"{setting}: {path} cannot be read: {error.strerror}; mount it, or name another"
        ) from error
