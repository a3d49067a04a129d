"""The official MCP SDK for Python, from nothing but the URL of the box to a tool call.

    mcp_client.py <public URL> <mode> <expected protocol version>

The access tokens of the box last 6 s, and the person leaves out grants:write until they are asked
again.
"""

import sys
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
from browser import answer_to, done
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata

REDIRECT = "http://localhost:3030/callback"
# Longer than an access token lasts here.
UNTIL_IT_HAS_ENDED = 6.5


class Memory:
    """Where an application would keep what it must not ask for again."""

    tokens = None
    client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client_info):
        self.client = client_info


class Browser:
    """Opens what the SDK wants opened, and counts it."""

    opened = 0

    async def open(self, url: str) -> None:
        self.opened += 1
        self.answer = await anyio.to_thread.run_sync(answer_to, url)

    async def result(self) -> AuthorizationCodeResult:
        query = parse_qs(urlsplit(self.answer).query, strict_parsing=True)
        return AuthorizationCodeResult(**{name: query[name][0] for name in ("code", "state", "iss")})


async def main(public_url: str, mode: str, version: str) -> None:
    url, memory, browser = f"{public_url}/mcp", Memory(), Browser()

    async def with_client(use) -> None:
        metadata = OAuthClientMetadata(client_name="Python host", redirect_uris=[REDIRECT])
        auth = OAuthClientProvider(url, metadata, memory, browser.open, browser.result)
        async with httpx2.AsyncClient(auth=auth, timeout=30) as http:
            transport = streamable_http_client(url, http_client=http)
            async with Client(transport, mode=mode) as client:
                assert client.protocol_version == version, client.protocol_version
                await use(client)

    async def call(client: Client) -> None:
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert "get_authenticated_user" in names, names
        result = await client.call_tool("get_authenticated_user", {})
        assert not result.is_error, result
        assert "ada" in str(result.structured_content), result

    async def call_when_the_token_has_ended(client: Client) -> None:
        await call(client)
        first = memory.tokens.access_token
        await anyio.sleep(UNTIL_IT_HAS_ENDED)
        await call(client)
        assert memory.tokens.access_token != first

    async def ask_for_more(client: Client) -> None:
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert "revoke_my_grant" not in names, names
        grants = (await client.call_tool("list_my_grants", {})).structured_content["grants"]
        result = await client.call_tool("revoke_my_grant", {"grant_id": grants[0]["id"]})
        assert not result.is_error, result

    await with_client(call_when_the_token_has_ended)
    assert browser.opened == 1
    # Started again, it has what it kept and asks nobody; with a token that is no good it refreshes.
    await with_client(call)
    first = memory.tokens.access_token
    memory.tokens = memory.tokens.model_copy(update={"access_token": "", "expires_in": -1})
    await with_client(call)
    assert memory.tokens.access_token not in ("", first)
    assert browser.opened == 1
    await with_client(ask_for_more)
    assert browser.opened == 2
    assert "grants:write" in memory.tokens.scope
    done()


anyio.run(main, *sys.argv[1:])
