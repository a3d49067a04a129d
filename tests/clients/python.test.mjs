// Clients in Python: Authlib with its checks on, and the official MCP SDK. Each script of python/
// prints an authorization URL, gets the URL of the answer on its standard input, and asserts for
// itself.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { keystead, Server } from './harness.mjs';
import { register } from './oauth.mjs';

const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';

const here = path.dirname(new URL(import.meta.url).pathname);
const python = path.join(here, '.venv/bin/python');

/** Has `person` let the device in that shows `url`. */
async function approve(person, url) {
  const page = await person.consentPage(url);
  const asking = await person.submit(page, page.form('[name=user_code]'));
  await person.submit(asking, asking.form('[name=decision]'), { decision: 'allow' });
  return 'approved';
}

/**
 * Runs `python/<script>`, with `person` at its browser, to its end. They leave out `withoutAtFirst`
 * the first time that they are asked.
 */
async function run(script, args, person, { withoutAtFirst } = {}) {
  assert.ok(existsSync(python), 'tests/clients/.venv is missing: run `tests/run`, which makes it');
  // Plain http is the one thing that Authlib is told to accept.
  const env = { PATH: process.env.PATH, AUTHLIB_INSECURE_TRANSPORT: '1', PYTHONWARNINGS: 'error::UserWarning' };
  const child = spawn(python, ['-B', path.join(here, 'python', script), person.server.url, ...args], { env });
  let output = '';
  let asked = 0;
  child.stderr.on('data', (piece) => (output += piece));
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => {
    output += `${line}\n`;
    const [, what, url] = line.match(/^(open|approve) (\S+)$/) ?? [];
    if (!url) return;
    const without = asked++ === 0 ? withoutAtFirst : undefined;
    const answered = what === 'open' ? person.authorize(url, { without }) : approve(person, url);
    answered.then(
      (answer) => child.stdin.write(`${answer}\n`),
      (fault) => {
        output += fault.stack;
        child.kill();
      },
    );
  });
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', (code, signal) => resolve(signal ?? code)));
  assert.equal(code, 0, output);
  assert.match(output, /^done$/m);
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
    const server = await Server.start(t, { config: '[token]\naccess_ttl = "2s"\n' });
    await run('mcp_client.py', [mode, era], await server.person('ada'), { withoutAtFirst: ['grants:write'] });
  });
}
