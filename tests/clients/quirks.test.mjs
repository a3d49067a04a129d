// What hosts in the field send that no library test would: each row was seen on a real client.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Server } from './harness.mjs';
import {
  authorizationUrl, challengeOf, mcpRequest, obtainCode, obtainTokens, pkce, refreshForm, register, statusOf, tokenRequest,
} from './oauth.mjs';

test('a probe of /mcp without a token learns where to sign in, by any method', async (t) => {
  const server = await Server.start(t);
  for (const method of ['GET', 'POST', 'DELETE']) {
    const response = await fetch(`${server.url}/mcp`, { method });
    assert.equal(response.status, 401, method);
    const challenge = challengeOf(response);
    assert.equal(challenge.resource_metadata, `${server.url}/.well-known/oauth-protected-resource/mcp`);
    assert.ok(challenge.scope);
    // RFC 6750 §3.1: a request without credentials gets no error code.
    assert.equal(challenge.error, undefined);
  }
});

test('a bad token is told why', async (t) => {
  const server = await Server.start(t);
  const response = await mcpRequest(server, 'ks_at_nonsense', 'tools/list');
  assert.equal(response.status, 401);
  const challenge = challengeOf(response);
  assert.equal(challenge.error, 'invalid_token');
  assert.ok(challenge.error_description);
});

test('a loopback redirect registered without a port is used with one', async (t) => {
  const server = await Server.start(t);
  const person = await server.person();
  for (const host of ['localhost', '127.0.0.1', '[::1]']) {
    const client = await register(server, { redirect_uris: [`http://${host}/callback`] });
    const redirectUri = `http://${host}:3118/callback`;
    const tokens = await obtainTokens(person, client, { redirectUri });
    assert.equal(await statusOf(server, tokens.access_token), 200, host);
  }
});

test('nothing but the port of a loopback redirect may differ', async (t) => {
  const server = await Server.start(t);
  const person = await server.person();
  await person.signIn();
  const client = await register(server, { redirect_uris: ['http://127.0.0.1/callback'] });
  for (const redirectUri of ['http://localhost:3118/callback', 'http://127.0.0.1:3118/callback/', 'https://127.0.0.1:3118/callback', 'http://127.0.0.1:3118/callback?x']) {
    const url = authorizationUrl(server, { client_id: client.client_id, redirect_uri: redirectUri, code_challenge: pkce().challenge });
    const response = await person.fetch(url);
    assert.equal(response.status, 400, redirectUri);
    assert.equal(response.headers.get('location'), null, redirectUri);
  }
});

test('the resource may differ in case of scheme and host and in one trailing slash', async (t) => {
  const server = await Server.start(t);
  const person = await server.person();
  const client = await register(server);
  const { port } = new URL(server.url);
  for (const resource of [`${server.url}/mcp/`, `HTTP://LOCALHOST:${port}/mcp`]) {
    const tokens = await obtainTokens(person, client, { resource });
    assert.equal(await statusOf(server, tokens.access_token), 200, resource);
  }
});

test('a client without resource and scope gets a token for the MCP endpoint', async (t) => {
  const server = await Server.start(t);
  const person = await server.person();
  const tokens = await obtainTokens(person, await register(server), { resource: undefined });
  assert.equal(await statusOf(server, tokens.access_token), 200);
});

test('Basic credentials are accepted raw and form-encoded, with the client_id again in the body', async (t) => {
  const server = await Server.start(t);
  const person = await server.person();
  const client = await register(server, { token_endpoint_auth_method: 'client_secret_basic' });
  assert.equal(client.client_secret_expires_at, 0);
  // Every character as %XX is what the strictest form encoder may send.
  const encoded = (text) => [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
  for (const spell of [(text) => text, encoded]) {
    const fields = await obtainCode(person, client);
    const credentials = Buffer.from(`${spell(client.client_id)}:${spell(client.client_secret)}`).toString('base64');
    const { status, body } = await tokenRequest(server, fields, { authorization: `Basic ${credentials}` });
    assert.equal(status, 200, JSON.stringify(body));
  }
});

test('two client authentications that differ are refused', async (t) => {
  const server = await Server.start(t);
  const person = await server.person();
  const client = await register(server, { token_endpoint_auth_method: 'client_secret_basic' });
  const fields = await obtainCode(person, client);
  const credentials = Buffer.from(`${client.client_id}:${client.client_secret}`).toString('base64');
  const { status, body } = await tokenRequest(
    server,
    { ...fields, client_id: (await register(server)).client_id },
    { authorization: `Basic ${credentials}` },
  );
  assert.deepEqual([status, body.error], [400, 'invalid_request']);
});

test('a registration without a method gets a secret and is told how to use it', async (t) => {
  const server = await Server.start(t);
  const client = await register(server, { token_endpoint_auth_method: undefined });
  assert.equal(client.token_endpoint_auth_method, 'client_secret_basic');
  assert.ok(client.client_secret);
  assert.ok(Object.values(client).every((value) => value !== null), JSON.stringify(client));
});

test('a program may open the authorization URL before the person does, as often as it likes', async (t) => {
  const server = await Server.start(t);
  const person = await server.person();
  const client = await register(server);
  const { verifier, challenge } = pkce();
  const url = authorizationUrl(server, { client_id: client.client_id, redirect_uri: client.redirect_uris[0], code_challenge: challenge });
  for (let count = 0; count < 3; count++) {
    const response = await fetch(url, { redirect: 'manual' });
    assert.ok([200, 302, 303, 307, 308].includes(response.status), `${response.status}`);
    await response.arrayBuffer();
  }
  const callback = await person.authorize(url);
  const { status } = await tokenRequest(server, {
    grant_type: 'authorization_code',
    client_id: client.client_id,
    code: callback.searchParams.get('code'),
    redirect_uri: client.redirect_uris[0],
    code_verifier: verifier,
  });
  assert.equal(status, 200);
});

test('unknown parameters and prompt=consent are accepted', async (t) => {
  const server = await Server.start(t);
  const person = await server.person();
  const tokens = await obtainTokens(person, await register(server), { prompt: 'consent', nonce: 'x', access_type: 'offline' });
  assert.ok(tokens.refresh_token);
});

test('hosts that ignore the metadata find the endpoints at the origin', async (t) => {
  const server = await Server.start(t);
  const person = await server.person();
  const registration = await fetch(`${server.url}/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ redirect_uris: ['https://claude.ai/api/mcp/auth_callback'], token_endpoint_auth_method: 'none' }),
  });
  assert.equal(registration.status, 201);
  const client = await registration.json();
  const { verifier, challenge } = pkce();
  const url = authorizationUrl(server, { client_id: client.client_id, redirect_uri: client.redirect_uris[0], code_challenge: challenge });
  url.pathname = '/authorize';
  const callback = await person.authorize(url);
  const response = await fetch(`${server.url}/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      client_id: client.client_id,
      code: callback.searchParams.get('code'),
      redirect_uri: client.redirect_uris[0],
      code_verifier: verifier,
    }),
  });
  assert.equal(response.status, 200);
});

test('the registrations of known hosts are taken whole', async (t) => {
  const server = await Server.start(t);
  const hosts = {
    Cursor: ['cursor://anysphere.cursor-mcp/oauth/callback', 'https://www.cursor.com/agents/mcp/oauth/callback', 'http://localhost:8787/callback'],
    'Visual Studio Code': ['https://insiders.vscode.dev/redirect', 'https://vscode.dev/redirect', 'http://127.0.0.1/', 'http://127.0.0.1:33418/'],
    'MCP CLI Proxy': ['http://localhost:3335/oauth/callback'],
  };
  for (const [client_name, redirect_uris] of Object.entries(hosts)) {
    const client = await register(server, { client_name, redirect_uris, application_type: 'native', software_id: 'x', client_uri: 'https://host.example' });
    assert.deepEqual(client.redirect_uris, redirect_uris);
    assert.equal(client.client_name, client_name);
  }
});

test('a page of another origin may read discovery, registration and token answers; one of this machine /mcp too', async (t) => {
  const server = await Server.start(t);
  const [afar, near] = ['https://inspector.example', 'http://localhost:6274'];
  for (const [origin, path, method, headers] of [
    [afar, '/.well-known/oauth-authorization-server', 'GET', 'mcp-protocol-version'],
    [afar, '/.well-known/oauth-protected-resource/mcp', 'GET', 'mcp-protocol-version'],
    [afar, '/oauth2/register', 'POST', 'content-type'],
    [afar, '/oauth2/token', 'POST', 'authorization'],
    [near, '/mcp', 'POST', 'authorization, content-type, mcp-protocol-version, mcp-method, mcp-name'],
  ]) {
    const preflight = await fetch(server.url + path, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': method, 'access-control-request-headers': headers },
    });
    assert.ok(preflight.ok, `${path} ${preflight.status}`);
    const allowed = preflight.headers.get('access-control-allow-headers').toLowerCase();
    for (const header of headers.split(', ')) assert.ok(allowed === '*' || allowed.includes(header), `${path} ${header}: ${allowed}`);
    assert.equal(preflight.headers.get('access-control-allow-credentials'), null, path);
  }
  const page = await fetch(`${server.url}/sign-in`, { headers: { origin: near } });
  assert.equal(page.headers.get('access-control-allow-origin'), null);
  const mcp = await mcpRequest(server, undefined, 'tools/list', {}, { origin: afar });
  assert.equal(mcp.status, 403);
});

test('another Host is refused before anything else', async (t) => {
  const server = await Server.start(t);
  const { request } = await import('node:http');
  const { port } = new URL(server.url);
  const status = await new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path: '/mcp', method: 'POST', headers: { host: `rebound.example:${port}` } };
    request(options, (response) => resolve(response.statusCode)).on('error', reject).end();
  });
  assert.equal(status, 403);
});

test('the metadata of OpenID Connect is absent rather than incomplete', async (t) => {
  const server = await Server.start(t);
  for (const path of ['/.well-known/openid-configuration', '/.well-known/openid-configuration/mcp', '/mcp/.well-known/openid-configuration']) {
    assert.equal((await fetch(server.url + path)).status, 404, path);
  }
});

test('tokens of a member are his own: two people never see each other', async (t) => {
  const server = await Server.start(t);
  const [ada, ben] = [await server.person('ada'), await server.person('ben', { owner: false })];
  const client = await register(server);
  const tokens = await Promise.all([obtainTokens(ada, client), obtainTokens(ben, client)]);
  const answers = await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      const call = { name: 'get_authenticated_user', arguments: {} };
      const response = await mcpRequest(server, tokens[index % 2].access_token, 'tools/call', call);
      return JSON.stringify((await response.json()).result.structuredContent);
    }),
  );
  answers.forEach((answer, index) => assert.match(answer, index % 2 ? /"ben"/ : /"ada"/));
});

test('a refresh carries the scope and resource that clients repeat', async (t) => {
  const server = await Server.start(t);
  const person = await server.person();
  const client = await register(server);
  const tokens = await obtainTokens(person, client);
  const { status, body } = await tokenRequest(server, refreshForm(client, tokens.refresh_token, { scope: tokens.scope, resource: `${server.url}/mcp` }));
  assert.equal(status, 200, JSON.stringify(body));
  const widened = await tokenRequest(server, refreshForm(client, body.refresh_token, { resource: 'https://elsewhere.example/' }));
  assert.deepEqual([widened.status, widened.body.error], [400, 'invalid_target']);
});

test('a session alone never lets a client in that the person has not approved', async (t) => {
  const server = await Server.start(t);
  const person = await server.person();
  const approved = await register(server);
  await obtainTokens(person, approved);
  const other = await register(server);
  const url = authorizationUrl(server, { client_id: other.client_id, redirect_uri: other.redirect_uris[0], code_challenge: pkce().challenge });
  const page = await person.open(url);
  assert.ok(!(page instanceof URL), `expected a consent page, found a redirect to ${page}`);
  assert.ok(page.form('[name=decision]'));
});
