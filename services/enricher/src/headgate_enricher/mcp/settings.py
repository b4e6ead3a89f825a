"""Settings of the MCP servers whose tools the agent may call."""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

ServerName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*$", max_length=20)]
ToolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=40)]


class McpServer(BaseModel):
    """One server, reached over streamable HTTP or started as a process that speaks over its standard input and output.

    Attributes:
        url: Endpoint of a server that runs, such as ``http://reference.tools:8000/mcp``.
        command: Program and arguments of a server to start. Arguments are no place for a secret.
        environment: Variables of that process, beside a few harmless ones such as PATH.
        token: Bearer token for ``url``.
        tools: The allow-list: the tools that are offered to a model, and no other.
        timeout_s: Longest time of one call.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str | None = Field(default=None, pattern=r"^https?://[^\s/]")
    command: tuple[str, ...] = ()
    environment: dict[str, SecretStr] = Field(default_factory=dict)
    token: SecretStr | None = None
    tools: Annotated[tuple[ToolName, ...], Field(min_length=1)]
    timeout_s: float = Field(default=1.0, gt=0, le=10)

    @model_validator(mode="after")
    def _one_way_to_reach_it(self) -> Self:
        if (self.url is None) is not bool(self.command):
            raise ValueError("name either url or command")
        if self.url is None and self.token is not None:
            raise ValueError("a token goes with url; give a process what it needs by environment")
        if self.url is not None and self.environment:
            raise ValueError("environment goes with command")
        return self

    @property
    def place(self) -> str:
        """Where it is, for people: without credentials and query."""
        if self.url is None:
            return self.command[0]
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
