"""A harness of verifiers that asks the model once, and then uses the tools that a file lists. It needs no network."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
import verifiers.v1 as vf

__all__ = ["ScriptedHarness"]


class ScriptedHarness(vf.Harness[vf.HarnessConfig]):
    """``SCRIPT`` names a file with a list of names and arguments; what the tools say is written beside it."""

    SUPPORTS_MCP = True
    NEEDS_CONTAINER = False
    EXECUTES_CODE = False

    async def launch(
        self, ctx: Any, trace: Any, runtime: Any, endpoint: str, secret: str, mcp_urls: Any, data: Any, **named: Any
    ) -> Any:
        """Play."""
        from mcp import Client
        from mcp_types import TextContent

        script = Path(os.environ["SCRIPT"])
        body = {"model": ctx.model, "messages": [{"role": "user", "content": data.prompt}]}
        async with httpx.AsyncClient(timeout=60) as client:
            headers = {"Authorization": f"Bearer {secret}"}
            reply = await client.post(f"{endpoint}/chat/completions", json=body, headers=headers)
            reply.raise_for_status()
        (url,) = mcp_urls.values()
        async with Client(url) as client:
            for name, arguments in json.loads(script.read_text()):
                result = await client.call_tool(name, arguments, read_timeout_seconds=600)
                (content,) = result.content
                assert isinstance(content, TextContent)
                with script.with_suffix(".log").open("a") as log:
                    log.write(json.dumps([name, result.is_error, content.text]) + "\n")
        return vf.ProgramResult(0, "", "")
