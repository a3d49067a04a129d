// The grants without a redirect, by a client that refuses whatever a specification does not allow;
// and an MCP server of somebody else's that has the box look its tokens up.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import * as oauth from 'oauth4webapi';
import { keystead, Server } from './harness.mjs';
import { obtainTokens, register } from './oauth.mjs';
import { Provider } from './provider.mjs';

const here = path.dirname(new URL(import.meta.url).pathname);
const python = path.join(here, '.venv/bin/python');
const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
const FILES = 'https://files.example/mcp';
/** How long the other server may take to listen and to answer. */
const OTHER_MS_MAX = 30_000;
/** A box on this machine is reached by plain http. */
const insecure = { [oauth.allowInsecureRequests]: true };

/** Runs `keystead` on the data of a running server, and returns what it printed as JSON. */
async function administer(server, ...args) {
  const { code, stdout, stderr } = await keystead([...args, '--data', server.data, '--json']);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

const addResource = (server, identifier) =>
  administer(server, 'resource', 'add', identifier, '--scope', 'files:read', '--scope', 'files:write', '--scope-words', 'files:read=see your files');

/** The metadata of the authorization server, as the client finds them. */
async function discover(server) {
  const issuer = new URL(server.url);
  return oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }));
}

async function introspect(as, { client_id, client_secret }, token) {
  const client = { client_id };
  const answer = await oauth.introspectionRequest(as, client, oauth.ClientSecretBasic(client_secret), token, insecure);
  return oauth.processIntrospectionResponse(as, client, answer);
}

/** A client that acts for itself, and the token it gets at `resource`. */
async function ownToken(server, as, resource) {
  const made = await administer(server, 'client', 'add', 'job', '--grant', 'client_credentials', '--scope', 'files:read');
  const client = { client_id: made.client_id };
  const method = oauth.ClientSecretBasic(made.client_secret);
  const answer = await oauth.clientCredentialsGrantRequest(as, client, method, { resource }, insecure);
  return { made, tokens: await oauth.processClientCredentialsResponse(as, client, answer) };
}

describe('oauth4webapi', () => {
  test('completes the device grant', async (t) => {
    const server = await Server.start(t);
    const ada = await server.person('ada');
    const as = await discover(server);
    const { client_id } = await register(server, { client_name: 'A television', redirect_uris: [], grant_types: [DEVICE_GRANT, 'refresh_token'] });
    const client = { client_id };
    const asked = await oauth.deviceAuthorizationRequest(as, client, oauth.None(), { scope: 'user:read' }, insecure);
    const device = await oauth.processDeviceAuthorizationResponse(as, client, asked);

    const poll = async () => {
      const answer = await oauth.deviceCodeGrantRequest(as, client, oauth.None(), device.device_code, insecure);
      return oauth.processDeviceCodeResponse(as, client, answer);
    };
    await assert.rejects(poll(), { error: 'authorization_pending' });
    const page = await ada.consentPage(device.verification_uri_complete);
    const asking = await ada.submit(page, page.form('[name=user_code]'));
    assert.ok(asking.text.includes(device.user_code) && asking.text.includes('A television'), asking.text);
    await ada.submit(asking, asking.form('[name=decision]'), { decision: 'allow' });
    const tokens = await poll();
    assert.equal(tokens.scope, 'user:read');
    const answer = await oauth.refreshTokenGrantRequest(as, client, oauth.None(), tokens.refresh_token, insecure);
    await oauth.processRefreshTokenResponse(as, client, answer);
    await assert.rejects(poll(), { error: 'invalid_grant' });
  });

  test('gets a token for itself, which the resource server looks up', async (t) => {
    const server = await Server.start(t);
    const as = await discover(server);
    const files = await addResource(server, FILES);
    const { made, tokens } = await ownToken(server, as, FILES);
    assert.equal(tokens.refresh_token, undefined);
    const found = await introspect(as, files, tokens.access_token);
    assert.deepEqual([found.active, found.aud, found.sub, found.scope], [true, FILES, made.client_id, 'files:read']);
    assert.equal((await introspect(as, made, tokens.access_token)).active, true);
    const other = await addResource(server, 'https://other.example');
    assert.deepEqual(await introspect(as, other, tokens.access_token), { active: false });
  });
});

/** An MCP server of somebody else's, known to the box. */
class OtherServer {
  stderr = '';

  static async start(t, server) {
    assert.ok(existsSync(python), 'tests/clients/.venv is missing: run `tests/run`, which makes it');
    const other = new OtherServer();
    const child = spawn(python, ['-B', path.join(here, 'python/mcp_server.py'), server.url], { env: { PATH: process.env.PATH } });
    t.after(() => child.kill('SIGKILL'));
    child.stderr.on('data', (piece) => (other.stderr += piece));
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const { value = '' } = await lines.next();
    [, other.url] = value.match(/^url (\S+)$/) ?? assert.fail(other.stderr);
    other.credentials = await addResource(server, other.url);
    child.stdin.end(`${JSON.stringify(other.credentials)}\n`);
    return other;
  }

  /** The status with which it receives `token`. */
  async statusOf(token) {
    const response = await fetch(this.url, {
      method: 'POST',
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' }),
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...(token && { authorization: `Bearer ${token}` }) },
      signal: AbortSignal.timeout(OTHER_MS_MAX),
    });
    await response.arrayBuffer();
    return response.status;
  }

  /** Connects the official client, with `person` at its browser, and calls the tool. */
  async call(provider, person) {
    const open = async () => {
      const client = new Client({ name: 'keystead-tests', version: '1.0.0' });
      const transport = new StreamableHTTPClientTransport(new URL(this.url), { authProvider: provider });
      try {
        await client.connect(transport);
        return await client.callTool({ name: 'whose_files', arguments: {} });
      } catch (fault) {
        if (!(fault instanceof UnauthorizedError)) throw fault;
        const callback = await person.authorize(provider.opened.at(-1));
        await transport.finishAuth(callback.searchParams.get('code'));
        return undefined;
      } finally {
        await client.close();
      }
    };
    const [{ text }] = ((await open()) ?? (await open())).content;
    return text;
  }
}

describe('an MCP server of the official SDK for Python, protected by introspection', () => {
  test('is found, signed in to and called from its URL alone, until the person takes it back', async (t) => {
    const server = await Server.start(t);
    const ada = await server.person('ada');
    const other = await OtherServer.start(t, server);
    const provider = new Provider();
    assert.equal(await other.call(provider, ada), 'ada files:read');
    const { access_token: token } = provider.stored.tokens;
    assert.notEqual(await other.statusOf(token), 401);

    const account = await ada.open('/account');
    assert.match(account.text, /see your files/);
    await ada.submit(account, account.form('form[action*=grants] button'));
    assert.equal(await other.statusOf(token), 401);
  });

  test('refuses a token that is for the box itself, and takes one that a client got for itself', async (t) => {
    const server = await Server.start(t);
    const ada = await server.person('ada');
    const other = await OtherServer.start(t, server);
    assert.equal(await other.statusOf(), 401);
    const { access_token: token } = await obtainTokens(ada, await register(server), { scope: 'user:read' });
    assert.equal(await other.statusOf(token), 401);
    const { tokens } = await ownToken(server, await discover(server), other.url);
    assert.notEqual(await other.statusOf(tokens.access_token), 401);
    const { code, stderr } = await keystead(['resource', 'remove', other.url, '--data', server.data]);
    assert.equal(code, 0, stderr);
    assert.notEqual(await other.statusOf(tokens.access_token), 200);
  });
});
