"""Authlib with nobody at a browser: a service gets a token for itself.

    authlib_service.py <public URL> <client_id> <client_secret>
"""

import sys

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from browser import done


def main(public_url: str, client_id: str, client_secret: str) -> None:
    url = get_well_known_url(public_url, external=True)
    server = AuthorizationServerMetadata(requests.get(url, timeout=10).json())
    server.validate()
    for method in ("client_secret_basic", "client_secret_post"):
        session = OAuth2Session(client_id, client_secret, token_endpoint_auth_method=method)
        token = session.fetch_token(
            server["token_endpoint"], grant_type="client_credentials", scope="user:read"
        )
        assert token["token_type"] == "Bearer" and "refresh_token" not in token, token
        found = look_up(session, server, token)
        assert found["active"] and found["client_id"] == client_id, found
        assert found["scope"] == token["scope"] and found["iss"] == public_url, found
        session.revoke_token(server["revocation_endpoint"], token["access_token"])
        assert look_up(session, server, token) == {"active": False}
    done()


def look_up(session: OAuth2Session, server: dict, token: dict) -> dict:
    answer = session.introspect_token(
        server["introspection_endpoint"], token["access_token"], "access_token"
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


main(*sys.argv[1:])
