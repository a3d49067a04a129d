// The MCP project's own conformance tool, against the authorization server. It prints an
// authorization URL and waits for somebody to open it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Server, freePort } from './harness.mjs';
import { register } from './oauth.mjs';
import { runSuite } from './suite.mjs';

/** What it is to run, of those it knows for authorization servers. */
const SCENARIOS = ['authorization-server-metadata-endpoint', 'authorization-code-grant'];

/** Runs the tool, has `person` open the URL that it prints, and returns what it checked. */
async function run(args, person) {
  let opened;
  const result = await runSuite('@modelcontextprotocol/conformance', ['authorization', ...args], (output, child) => {
    const url = output.match(/https?:\/\/\S+\/oauth2\/authorize\?\S+(?=\s)/);
    if (url) opened ??= person.authorize(url[0]).then((callback) => fetch(callback)).catch((fault) => (child.kill(), fault));
  });
  const failed = await opened;
  assert.ok(!(failed instanceof Error), `${failed?.stack}\n${result.output}`);
  return result;
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
