"""The tools that language models and MCP clients play an episode with, and what they mean for the environment."""

from __future__ import annotations

from discoenv.errors import ToolError
from discoenv.tools.registry import TOOLS, Tool
from discoenv.tools.session import RunResult, ToolResult, ToolSession

__all__ = ["TOOLS", "RunResult", "Tool", "ToolError", "ToolResult", "ToolSession"]
