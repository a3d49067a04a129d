"""An MCP server of somebody else's, protected by the tokens of the box: the official SDK for Python.

    mcp_server.py <public URL of the box>

It prints the URL it will be reached at, and gets a line of JSON on its standard input: what
`keystead resource add <that URL> … --json` printed.
"""

import json
import socket
import sys

import httpx2
import uvicorn
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer


class Introspection:
    """Has the box look every token up (RFC 7662)."""

    def __init__(self, public_url: str, credentials: dict):
        self.endpoint = f"{public_url}/oauth2/introspect"
        self.auth = (credentials["client_id"], credentials["client_secret"])

    async def verify_token(self, token: str) -> AccessToken | None:
        async with httpx2.AsyncClient(auth=self.auth, timeout=10) as http:
            answer = await http.post(self.endpoint, data={"token": token})
        found = answer.raise_for_status().json()
        if not found["active"]:
            assert found == {"active": False}, found
            return None
        return AccessToken(
            token=token,
            client_id=found["client_id"],
            scopes=found["scope"].split(" "),
            expires_at=found["exp"],
            resource=found["aud"],
            subject=found["sub"],
            claims=found,
        )


def main(public_url: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    print(f"url {url}", flush=True)
    credentials = json.loads(sys.stdin.readline())
    server = MCPServer(
        "files",
        token_verifier=Introspection(public_url, credentials),
        auth=AuthSettings(
            issuer_url=public_url,
            resource_server_url=url,
            required_scopes=["files:read"],
            validate_token_resource=True,
        ),
    )

    @server.tool()
    def whose_files() -> str:
        """Says whom the token acts for."""
        token = get_access_token()
        return f"{token.claims.get('username', 'nobody')} {' '.join(token.scopes)}"

    config = uvicorn.Config(server.streamable_http_app(), log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])


main(*sys.argv[1:])
