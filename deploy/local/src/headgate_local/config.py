"""Where the embedded stack keeps its files, and which brokers the tests use: the only reader of the environment here."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class LocalSettings(BaseSettings):
    """Folders of the embedded stack.

    Attributes:
        cache_dir: Shared between all stacks of a user; HEADGATE_CACHE_DIR.
        xdg_cache_home: Used where ``cache_dir`` is not given; XDG_CACHE_HOME.
        local_dir: Folder of ``headgate local up``: endpoints.json and data/; HEADGATE_LOCAL_DIR.
    """

    model_config = SettingsConfigDict(extra="ignore")

    cache_dir: Path | None = Field(default=None, validation_alias="HEADGATE_CACHE_DIR")
    xdg_cache_home: Path | None = Field(default=None, validation_alias="XDG_CACHE_HOME")
    local_dir: Path = Field(default=Path("build/local"), validation_alias="HEADGATE_LOCAL_DIR")

    @property
    def cache(self) -> Path:
        """The cache folder, absolute; not necessarily there yet."""
        if self.cache_dir is not None:
            return self.cache_dir.expanduser().absolute()
        base = self.xdg_cache_home or Path.home() / ".cache"
        return base.expanduser().absolute() / "headgate"


class BrokerSettings(BaseSettings):
    """The brokers that tests are told to use; both or none (HEADGATE_TEST_BOOTSTRAP, HEADGATE_TEST_REGISTRY)."""

    model_config = SettingsConfigDict(env_prefix="HEADGATE_TEST_", extra="ignore")

    bootstrap: str | None = None
    registry: str | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> BrokerSettings:
        if (self.bootstrap is None) != (self.registry is None):
            msg = "set both HEADGATE_TEST_BOOTSTRAP and HEADGATE_TEST_REGISTRY, or neither"
            raise ValueError(msg)
        return self


def inherited_environment() -> dict[str, str]:
    """A copy of this process's environment, for a child to start from."""
    return dict(os.environ)
