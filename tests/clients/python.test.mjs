// Clients in Python: Authlib with its checks on, the official MCP SDK, and the parsers of
// Prometheus.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { keystead, freePort, Server } from './harness.mjs';
import { register } from './oauth.mjs';
import { runWithPerson } from './scripted.mjs';

const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';

const here = path.dirname(new URL(import.meta.url).pathname);
const python = path.join(here, '.venv/bin/python');

/** Runs `python/<script>`, with `person` at its browser, to its end. */
function run(script, args, person, options) {
  // Plain http is the one thing that Authlib is told to accept.
  const env = { AUTHLIB_INSECURE_TRANSPORT: '1', PYTHONWARNINGS: 'error::UserWarning' };
  const all = ['-B', path.join(here, 'python', script), person.server.url, ...args];
  return runWithPerson(python, all, person, { env, ...options });
}

for (const method of ['none', 'client_secret_basic', 'client_secret_post']) {
  test(`Authlib, ${method}: registers, exchanges, refreshes and revokes`, async (t) => {
    const server = await Server.start(t);
    await run('authlib_client.py', [method], await server.person());
  });
}

test('Authlib: gets a token for itself, and looks it up', async (t) => {
  const server = await Server.start(t);
  const args = ['client', 'add', 'job', '--grant', 'client_credentials', '--scope', 'user:read', '--data', server.data, '--json'];
  const { code, stdout, stderr } = await keystead(args);
  assert.equal(code, 0, stderr);
  const { client_id: id, client_secret: secret } = JSON.parse(stdout);
  await run('authlib_service.py', [id, secret], await server.person());
});

test('Authlib: has a device signed in by somebody at a browser', async (t) => {
  const server = await Server.start(t);
  const metadata = { redirect_uris: [], grant_types: [DEVICE_GRANT, 'refresh_token'] };
  const { client_id: id } = await register(server, metadata);
  await run('authlib_device.py', [id], await server.person());
});

for (const [mode, era] of [['auto', '2026-07-28'], ['legacy', '2025-11-25']]) {
  test(`the MCP SDK for Python, ${mode}: finds its way from the URL alone to a tool call`, async (t) => {
    const server = await Server.start(t, { config: '[token]\naccess_ttl = "6s"\n' });
    await run('mcp_client.py', [mode, era], await server.person('ada'), { withoutAtFirst: ['grants:write'] });
  });
}

test('the parsers of Prometheus read the metrics, in both formats', async (t) => {
  const address = `127.0.0.1:${await freePort()}`;
  const server = await Server.start(t, { args: ['--metrics-listen', address] });
  await (await fetch(`${server.url}/healthz`)).text();
  await promisify(execFile)(python, ['-B', path.join(here, 'python/metrics.py'), `http://${address}/metrics`]);
});
