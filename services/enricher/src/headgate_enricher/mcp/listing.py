"""What a server lists, held against the allow-list: only tools named there, and none that may change anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headgate_runtime.errors import ConfigurationError
from jsonschema import SchemaError
from jsonschema.validators import validator_for
from referencing import Registry

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from jsonschema.protocols import Validator
    from mcp import Client
    from mcp.types import Tool

MOST_PAGES = 100


@dataclass(frozen=True, slots=True)
class Listed:
    """A tool as its server lists it.

    Attributes:
        name: Its name there.
        description: What the server says of it.
        arguments: JSON schema of its arguments.
        results: JSON schema of its structured answer; None where it has none.
    """

    name: str
    description: str
    arguments: dict[str, Any]
    results: dict[str, Any] | None

    def validator(self) -> Validator:
        """Checks arguments; references resolve within the schema only, nothing is fetched."""
        checks: Validator = validator_for(self.arguments)(self.arguments, registry=Registry())
        return checks


async def list_tools(client: Client, server: str, allowed: Collection[str]) -> tuple[Listed, ...]:
    """Ask a server for the tools on the allow-list, in its order.

    Raises:
        ConfigurationError: One is not there, may change something, or has a schema that is none.
    """
    found: dict[str, Tool] = {}
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await client.list_tools(cursor=cursor)
        found |= {tool.name: tool for tool in page.tools}
        cursor = page.next_cursor
        if cursor is None:
            break
    return tuple(_listed(server, name, found) for name in allowed)


def _listed(server: str, name: str, found: dict[str, Tool]) -> Listed:
    tool = found.get(name)
    if tool is None:
        raise ConfigurationError(
            f"MCP server {server!r} has no tool {name!r} (it has: {', '.join(sorted(found)) or 'none'}): "
            "take it off the allow-list, or name another."
        )
    hints = tool.annotations
    if hints is not None and (hints.read_only_hint is False or hints.destructive_hint):
        raise ConfigurationError(
            f"Tool {name!r} of MCP server {server!r} says that it may change something: only read-only tools are "
            "offered to a model. Take it off the allow-list."
        )
    for schema in _schemas(tool):
        try:
            validator_for(schema).check_schema(schema)
        except SchemaError as error:
            raise ConfigurationError(
                f"Tool {name!r} of MCP server {server!r} has a broken schema ({error.message[:200]}): mend the server."
            ) from error
    return Listed(name, tool.description or "", tool.input_schema, tool.output_schema)


def _schemas(tool: Tool) -> Iterable[dict[str, Any]]:
    return [schema for schema in (tool.input_schema, tool.output_schema) if schema is not None]
