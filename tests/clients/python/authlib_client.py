"""Authlib, as a Python application uses it: metadata validated, state and PKCE checked.

    authlib_client.py <public URL> <token_endpoint_auth_method>
"""

import sys

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from browser import answer_to, done

REDIRECT = "https://app.example/callback"


def main(public_url: str, method: str) -> None:
    url = get_well_known_url(public_url, external=True)
    server = AuthorizationServerMetadata(requests.get(url, timeout=10).json())
    server.validate()
    assert server["issuer"] == public_url

    registration = requests.post(
        server["registration_endpoint"],
        json={
            "client_name": "Python application",
            "redirect_uris": [REDIRECT],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": method,
        },
        timeout=10,
    )
    assert registration.status_code == 201, registration.text
    client = registration.json()
    session = OAuth2Session(
        client["client_id"],
        client.get("client_secret"),
        token_endpoint_auth_method=client["token_endpoint_auth_method"],
        revocation_endpoint_auth_method=client["token_endpoint_auth_method"],
        redirect_uri=REDIRECT,
        scope="user:read grants:read",
        code_challenge_method="S256",
    )
    verifier = generate_token(64)
    resource = f"{public_url}/mcp"
    url, state = session.create_authorization_url(
        server["authorization_endpoint"], code_verifier=verifier, resource=resource
    )
    answer = answer_to(url)
    token = session.fetch_token(
        server["token_endpoint"],
        authorization_response=answer,
        state=state,
        code_verifier=verifier,
        resource=resource,
    )
    assert token["token_type"] == "Bearer" and not token.is_expired(), token
    assert set(token["scope"].split()) == {"user:read", "grants:read"}, token
    assert status(session, resource) == 200

    refreshed = session.refresh_token(server["token_endpoint"])
    assert refreshed["refresh_token"] != token["refresh_token"]
    assert status(session, resource) == 200

    revoked = session.revoke_token(
        server["revocation_endpoint"], refreshed["refresh_token"], "refresh_token"
    )
    assert revoked.status_code == 200, revoked.text
    assert status(session, resource) == 401
    try:
        session.refresh_token(server["token_endpoint"], refreshed["refresh_token"])
    except AuthlibBaseError as error:
        assert error.error == "invalid_grant", error
    else:
        raise AssertionError("a revoked refresh token still works")
    done()


def status(session: OAuth2Session, resource: str) -> int:
    """What the MCP endpoint says to the session's access token."""
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2025-11-25",
    }
    return session.post(resource, json=message, headers=headers, timeout=10).status_code


main(*sys.argv[1:])
