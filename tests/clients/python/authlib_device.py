"""Authlib on a device without a browser: RFC 8628.

    authlib_device.py <public URL> <client_id>
"""

import sys

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import get_well_known_url
from browser import approve, done

GRANT = "urn:ietf:params:oauth:grant-type:device_code"


def main(public_url: str, client_id: str) -> None:
    server = requests.get(get_well_known_url(public_url, external=True), timeout=10).json()
    asked = requests.post(
        server["device_authorization_endpoint"],
        data={"client_id": client_id, "scope": "user:read"},
        timeout=10,
    )
    assert asked.status_code == 200, asked.text
    device = asked.json()
    session = OAuth2Session(client_id, token_endpoint_auth_method="none")

    def poll() -> dict:
        return session.fetch_token(
            server["token_endpoint"], grant_type=GRANT, device_code=device["device_code"]
        )

    try:
        poll()
    except AuthlibBaseError as error:
        assert error.error == "authorization_pending", error
    else:
        raise AssertionError("a device was let in that nobody approved")
    approve(device["verification_uri_complete"])
    token = poll()
    assert token["scope"] == "user:read", token
    refreshed = session.refresh_token(server["token_endpoint"])
    assert refreshed["access_token"] != token["access_token"]
    done()


main(*sys.argv[1:])
