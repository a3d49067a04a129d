// `keystead mcp`: the official clients start the built binary as a host program would, and get the
// tools of the running server over its standard streams.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import path from 'node:path';
import { describe, test } from 'node:test';
import * as v2 from '@modelcontextprotocol/client';
import { StdioClientTransport as StdioV2 } from '@modelcontextprotocol/client/stdio';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as StdioV1 } from '@modelcontextprotocol/sdk/client/stdio.js';
import { keystead, Server, temporaryDirectory } from './harness.mjs';
import { runWithPerson } from './scripted.mjs';

const info = { name: 'keystead-tests', version: '1.0.0' };
const command = process.env.KEYSTEAD_BIN;
const here = path.dirname(new URL(import.meta.url).pathname);
const OWNERS_TOOLS = ['list_clients', 'search_audit_log'];

const GENERATIONS = [
  { name: 'v1', client: () => new ClientV1(info), Transport: StdioV1 },
  { name: 'v2, initialize', era: 'legacy', client: () => new v2.Client(info), Transport: StdioV2 },
  {
    name: 'v2, server/discover',
    era: 'modern',
    client: () => new v2.Client(info, { versionNegotiation: { mode: 'auto' } }),
    Transport: StdioV2,
  },
];

const words = (server, ...more) => ['mcp', '--data', server.data, ...more];

/** A client of that generation whose server is `keystead mcp`. */
async function connect(t, { client, Transport, era }, server, ...more) {
  const connected = client();
  await connected.connect(new Transport({ command, args: words(server, ...more), stderr: 'pipe' }));
  t.after(() => connected.close());
  if (era) assert.equal(connected.getProtocolEra(), era);
  return connected;
}

const names = async (client) => (await client.listTools()).tools.map(({ name }) => name);

/** A message, as a line. */
const line = (id, method, params = {}) => `${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`;
const HELLO = line(0, 'initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: info });

/** `keystead mcp` as a process whose lines are read one by one. */
function begin(t, server, ...more) {
  const child = spawn(command, words(server, ...more));
  t.after(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let stderr = '';
  child.stderr.on('data', (piece) => (stderr += piece));
  const ended = new Promise((resolve) => child.once('close', (code) => resolve({ code, stderr })));
  return {
    ended,
    say: (text) => child.stdin.write(text),
    next: async () => JSON.parse((await lines.next()).value),
  };
}

for (const generation of GENERATIONS) {
  describe(`the MCP client for TypeScript, ${generation.name}`, () => {
    test('lists and calls tools as the only user, many at once', async (t) => {
      const server = await Server.start(t);
      await server.person('ada');
      const client = await connect(t, generation, server);
      const listed = await names(client);
      for (const tool of ['get_authenticated_user', ...OWNERS_TOOLS]) assert.ok(listed.includes(tool), listed);
      const calls = Array.from({ length: 10 }, () => client.callTool({ name: 'get_authenticated_user', arguments: {} }));
      for (const { structuredContent: person } of await Promise.all(calls)) {
        assert.deepEqual([person.name, person.role, person.client_id], ['ada', 'owner', undefined]);
      }
    });

    test('has the tools of the user and the set that were named', async (t) => {
      const server = await Server.start(t);
      await server.person('ada');
      await server.person('bob', { owner: false });
      const bob = await connect(t, generation, server, '--user', 'bob');
      const listed = await names(bob);
      assert.ok(listed.includes('revoke_my_grant'), listed);
      for (const tool of OWNERS_TOOLS) {
        assert.ok(!listed.includes(tool), listed);
        await assert.rejects(bob.callTool({ name: tool, arguments: { query: '' } }), /tools\/list shows/);
      }
      const search = await connect(t, generation, server, '--user', 'bob', '--toolset', 'search');
      assert.deepEqual(await names(search), ['search', 'fetch']);
    });
  });
}

for (const [mode, era] of [['auto', '2026-07-28'], ['legacy', '2025-11-25']]) {
  test(`the MCP SDK for Python, ${mode}: lists and calls tools`, async (t) => {
    const server = await Server.start(t);
    const person = await server.person('ada');
    const args = ['-B', path.join(here, 'python/mcp_stdio.py'), mode, era, command, server.data];
    await runWithPerson(path.join(here, '.venv/bin/python'), args, person);
  });
}

test('a host that was told by `keystead connect` finds the server', async (t) => {
  const server = await Server.start(t);
  await server.person('ada');
  const told = async (...args) => {
    const { code, stdout, stderr } = await keystead(['connect', ...args, '--data', server.data]);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout).mcpServers.keystead;
  };
  assert.deepEqual(await told('claude-code'), { type: 'http', url: `${server.url}/mcp` });
  const client = new ClientV1(info);
  await client.connect(new StdioV1({ ...(await told('claude-desktop', '--toolset', 'readonly')), stderr: 'pipe' }));
  t.after(() => client.close());
  const listed = await names(client);
  assert.ok(listed.includes('list_my_grants') && !listed.includes('revoke_my_grant'), listed);
});

test('the end of the input ends it after the answers that are owed, and only messages are printed', async (t) => {
  const server = await Server.start(t);
  await server.person('ada');
  const ids = [1, 2, 3, 4, 5];
  const input = HELLO + ids.map((id) => line(id, 'tools/list')).join('');
  const { code, stdout, stderr } = await keystead(words(server), { input });
  assert.equal(code, 0, stderr);
  assert.equal(stderr, '');
  const answers = stdout.trimEnd().split('\n').map((text) => JSON.parse(text));
  assert.deepEqual(answers.map(({ id }) => id).sort(), [0, ...ids]);
  assert.ok(answers.every(({ result }) => result));
});

test('a message that is too long is an error, and the end', async (t) => {
  const server = await Server.start(t);
  await server.person('ada');
  const mcp = begin(t, server);
  mcp.say(HELLO);
  assert.equal((await mcp.next()).result.serverInfo.name, 'keystead');
  mcp.say(line(1, 'x'.repeat(2 ** 20)));
  const { error } = await mcp.next();
  assert.equal(error.code, -32600);
  assert.match(error.message, /at most 1048576 bytes/);
  const { code, stderr } = await mcp.ended;
  assert.equal(code, 1);
  assert.match(stderr, /^error: the server has ended the connection/);
});

test('a stop of the server ends it with a plain message, and waits for nobody', async (t) => {
  const server = await Server.start(t);
  await server.person('ada');
  const mcp = begin(t, server);
  mcp.say(HELLO);
  await mcp.next();
  await server.end();
  const { code, stderr } = await mcp.ended;
  assert.equal(code, 1);
  assert.match(stderr, /^error: the server has ended the connection: it was stopped/);
  const { code: again, stderr: why } = await keystead(words(server));
  assert.equal(again, 1);
  assert.match(why, /no server runs on .*: start it with `keystead serve`/);
});

test('a user who is disabled is refused by the next message', async (t) => {
  const server = await Server.start(t);
  await server.person('ada');
  await server.person('bob', { owner: false });
  const mcp = begin(t, server, '--user', 'bob');
  mcp.say(HELLO);
  await mcp.next();
  assert.equal((await keystead(['user', 'disable', 'bob', '--data', server.data])).code, 0);
  mcp.say(line(1, 'tools/list'));
  const { id, error } = await mcp.next();
  assert.equal(id, 1);
  assert.match(error.message, /the user bob is disabled/);
  assert.equal((await mcp.ended).code, 1);
});

test('whom to act as is never guessed', async (t) => {
  const server = await Server.start(t);
  const refused = async (expected, ...more) => {
    const { code, stdout, stderr } = await keystead(words(server, ...more), { input: HELLO });
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, expected);
  };
  await refused(/there is no user yet/);
  await server.person('ada');
  await server.person('bob', { owner: false });
  await refused(/expected --user NAME, because this box has 2 users/);
  await refused(/there is no user "eve"/, '--user', 'eve');
});

test('another data directory is another server', async (t) => {
  const server = await Server.start(t);
  await server.person('ada');
  const { code, stderr } = await keystead(['mcp', '--data', await temporaryDirectory()], { input: HELLO });
  assert.equal(code, 1);
  assert.match(stderr, /no server runs on/);
});
