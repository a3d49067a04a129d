// The MCP project's own conformance tool, against the authorization server. It prints an
// authorization URL and waits for somebody to open it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { Server, temporaryDirectory } from './harness.mjs';
import { register } from './oauth.mjs';

/** What the tool needs. */
const NODE_MAJOR_MIN = 22;
/** What it is to run, of those it knows for authorization servers. */
const SCENARIOS = ['authorization-server-metadata-endpoint', 'authorization-code-grant'];

const here = path.dirname(new URL(import.meta.url).pathname);

/** The node that runs the tool: this one if it is new enough, else the one of package.json. */
function node() {
  if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR_MIN) return process.execPath;
  const installed = path.join(here, `node_modules/node-linux-${process.arch}/bin/node`);
  assert.ok(existsSync(installed), `expected node ${NODE_MAJOR_MIN}, found ${process.version}: run tests/run, which installs it`);
  return installed;
}

/** A port that was free a moment ago: the client registers its redirect before the tool listens. */
async function freePort() {
  const listener = createServer();
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const { port } = listener.address();
  await new Promise((resolve) => listener.close(resolve));
  return port;
}

/** Runs the tool, has `person` open the URL that it prints, and returns what it checked. */
async function run(args, person) {
  const results = await temporaryDirectory();
  const child = spawn(node(), [path.join(here, 'node_modules/.bin/conformance'), 'authorization', ...args, '-o', results], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let opened;
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (piece) => {
      output += piece;
      const url = output.match(/https?:\/\/\S+\/oauth2\/authorize\?\S+(?=\s)/);
      if (url) opened ??= person.authorize(url[0]).then((callback) => fetch(callback)).catch((fault) => (child.kill(), fault));
    });
  }
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  const failed = await opened;
  assert.ok(!(failed instanceof Error), `${failed?.stack}\n${output}`);
  const checked = {};
  for (const directory of await readdir(results)) {
    checked[directory] = JSON.parse(await readFile(path.join(results, directory, 'checks.json'), 'utf8'));
  }
  return { code, checked, output };
}

test('both authorization scenarios of the conformance tool pass', async (t) => {
  const server = await Server.start(t);
  const person = await server.person();
  const port = await freePort();
  // A public client: the tool sends no secret, even if it has one, to a server that lists `none`.
  const client = await register(server, { redirect_uris: [`http://127.0.0.1:${port}/callback`] });
  const { code, checked, output } = await run(
    ['--url', server.url, '--client-id', client.client_id, '--resource', `${server.url}/mcp`, '-p', `${port}`],
    person,
  );
  for (const scenario of SCENARIOS) {
    const [, checks] = Object.entries(checked).find(([directory]) => directory.includes(scenario)) ?? [];
    assert.ok(checks?.length > 0, `${scenario} was not run:\n${output}`);
    assert.ok(checks.some(({ status }) => status === 'SUCCESS'), JSON.stringify(checks));
    assert.deepEqual(checks.filter(({ status }) => status === 'FAILURE'), [], output);
  }
  assert.equal(code, 0, output);
});
