"""Where everything of a running ``headgate local up`` can be reached; the one file other programs need."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, ValidationError

from headgate_local.folder import StackError, write_whole

FILE_NAME = "endpoints.json"


class Endpoints(BaseModel):
    """Addresses of a running stack and its services.

    Attributes:
        bootstrap_servers: Kafka.
        registry_url: The schema registry's Confluent API.
        bedrock_url: The local Bedrock endpoint.
        catalog: Properties for ``pyiceberg.catalog.load_catalog(**catalog)``.
        services: Control API (and more) of each service by name; a replica after the first has its number: ``enricher-1``.
        control_token_file: File with the bearer token of the control APIs.
    """

    bootstrap_servers: str
    registry_url: str
    bedrock_url: str
    catalog: dict[str, str]
    services: dict[str, str] = Field(default_factory=dict)
    control_token_file: Path

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read ``endpoints.json`` of a folder; None where nothing is up; StackError when the file is damaged."""
        return cls.read_file(folder / FILE_NAME)

    @classmethod
    def read_file(cls, path: Path) -> Self | None:
        """Read a file of endpoints, as :meth:`read` does."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise StackError(f"{path} cannot be read, remove it and start again: {error}") from error

    def write(self, folder: Path) -> Path:
        """Write ``endpoints.json`` into a folder and return its path."""
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / FILE_NAME, self.model_dump_json(indent=2) + "\n")
        return folder / FILE_NAME

    def control_token(self) -> str:
        """The bearer token."""
        return self.control_token_file.read_text(encoding="utf-8").strip()
