// The OAuth wire, bare: what a test needs to send that no library would.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';

/** A redirect target of an application that runs on a server: consent to it may be remembered. */
export const WEB_CALLBACK = 'https://app.example/callback';

/** Posts `value` as JSON. */
const postJson = (url, value, headers = {}) =>
  fetch(url, { method: 'POST', body: JSON.stringify(value), headers: { 'content-type': 'application/json', ...headers } });

/** Registers a client, public unless `metadata` says otherwise. */
export async function register(server, metadata = {}) {
  const response = await postJson(`${server.url}/oauth2/register`, {
    client_name: 'Test client',
    redirect_uris: [WEB_CALLBACK],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'none',
    ...metadata,
  });
  const text = await response.text();
  assert.equal(response.status, 201, text);
  return JSON.parse(text);
}

/** A verifier and its S256 challenge. */
export function pkce() {
  const verifier = randomBytes(32).toString('base64url');
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') };
}

/** An authorization URL; a parameter that is `undefined` is left out. */
export function authorizationUrl(server, parameters) {
  const url = new URL('/oauth2/authorize', server.url);
  const all = { response_type: 'code', code_challenge_method: 'S256', resource: `${server.url}/mcp`, ...parameters };
  for (const [name, value] of Object.entries(all)) if (value !== undefined) url.searchParams.set(name, value);
  return url;
}

/** One request to the token endpoint: status, headers and the parsed body. */
export async function tokenRequest(server, fields, headers = {}) {
  const response = await fetch(`${server.url}/oauth2/token`, { method: 'POST', body: new URLSearchParams(fields), headers });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

/** Has `person` consent, and returns what the token endpoint needs. */
export async function obtainCode(person, client, { redirectUri = client.redirect_uris[0], scope, ...parameters } = {}) {
  const { verifier, challenge } = pkce();
  const url = authorizationUrl(person.server, {
    client_id: client.client_id,
    redirect_uri: redirectUri,
    code_challenge: challenge,
    scope,
    ...parameters,
  });
  const callback = await person.authorize(url);
  const code = callback.searchParams.get('code');
  assert.ok(code, `expected a code, found ${callback}`);
  return { grant_type: 'authorization_code', client_id: client.client_id, code, redirect_uri: redirectUri, code_verifier: verifier };
}

/** Has `person` consent to `client`, and returns the tokens. */
export async function obtainTokens(person, client, options) {
  const { status, body } = await tokenRequest(person.server, await obtainCode(person, client, options));
  assert.equal(status, 200, JSON.stringify(body));
  return body;
}

/** The form that refreshes with `refreshToken`. */
export const refreshForm = (client, refreshToken, more = {}) => ({
  grant_type: 'refresh_token',
  client_id: client.client_id,
  refresh_token: refreshToken,
  ...more,
});

/** A JSON-RPC request to `/mcp` as a client of the 2025-11-25 revision sends it. */
export function mcpRequest(server, accessToken, method, params = {}, headers = {}) {
  return postJson(`${server.url}/mcp`, { jsonrpc: '2.0', id: 1, method, params }, {
    accept: 'application/json, text/event-stream',
    'mcp-protocol-version': '2025-11-25',
    ...(accessToken === undefined ? {} : { authorization: `Bearer ${accessToken}` }),
    ...headers,
  });
}

/** The status with which `/mcp` receives `accessToken`: 200 if it works, 401 if not. */
export async function statusOf(server, accessToken) {
  const response = await mcpRequest(server, accessToken, 'tools/list');
  await response.arrayBuffer();
  return response.status;
}

/** The parameters of a `WWW-Authenticate: Bearer …` header. */
export function challengeOf(response) {
  const header = response.headers.get('www-authenticate') ?? '';
  assert.match(header, /^Bearer /);
  return Object.fromEntries([...header.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]));
}

/** The protected resource metadata of the MCP endpoint. */
export async function resourceMetadata(server) {
  const response = await fetch(`${server.url}/.well-known/oauth-protected-resource/mcp`);
  assert.equal(response.status, 200);
  return response.json();
}
