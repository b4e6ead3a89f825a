"""Tools of MCP servers, offered to the agent: settings and opening; the SDK is only imported where a server is named."""

from headgate_enricher.mcp.opening import OpenTools, open_tools
from headgate_enricher.mcp.settings import McpServer, ServerName

__all__ = ["McpServer", "OpenTools", "ServerName", "open_tools"]
