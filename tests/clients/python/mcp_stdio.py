"""The official MCP SDK for Python, which starts `keystead mcp` as a host program would.

    mcp_stdio.py <mode> <expected protocol version> <binary> <data directory>
"""

import sys

import anyio
from browser import done
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client


async def main(mode: str, version: str, binary: str, data: str) -> None:
    server = StdioServerParameters(command=binary, args=["mcp", "--data", data])
    async with Client(stdio_client(server), mode=mode) as client:
        assert client.protocol_version == version, client.protocol_version
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert "search_audit_log" in names, names
        result = await client.call_tool("get_authenticated_user", {})
        assert not result.is_error, result
        assert result.structured_content["name"] == "ada", result
    done()


anyio.run(main, *sys.argv[1:])
