// Other MCP servers behind the box: two that we did not write, over both transports, and one that
// does what upstreams should not.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Server, freePort, keystead, soon, temporaryDirectory } from './harness.mjs';
import { obtainTokens, register } from './oauth.mjs';

/** How long something may take that is to happen soon. */
const NODE = process.execPath;
const OURS = fileURLToPath(new URL('upstream.mjs', import.meta.url));
const of = (name) => fileURLToPath(new URL(`node_modules/@modelcontextprotocol/${name}/dist/index.js`, import.meta.url));
const EVERYTHING = of('server-everything');
const FILESYSTEM = of('server-filesystem');

/** A client of the first generation with a token of its own for those scopes, connected at `at`. */
async function connect(t, person, scope, at = '/mcp') {
  const resource = `${person.server.url}${at}`;
  const { access_token: token } = await obtainTokens(person, await register(person.server), { scope, resource });
  const client = new Client({ name: 'keystead-tests', version: '1.0.0' });
  const requestInit = { headers: { authorization: `Bearer ${token}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(resource), { requestInit }));
  t.after(() => client.close());
  return client;
}

const names = async (client) => (await client.listTools()).tools.map(({ name }) => name);
const call = (client, name, args = {}) => client.callTool({ name, arguments: args });
const textOf = (result) => result.content[0].text;
const table = (name, lines) => `[[upstream]]\nname = ${JSON.stringify(name)}\n${lines}\n`;
const command = (...words) => `command = ${JSON.stringify(words)}`;

/** Waits until `claim` holds. */
/** Whether the process `pid` is there. */
function runs(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (fault) {
    assert.equal(fault.code, 'ESRCH');
    return false;
  }
}

/** The server of the registry that shows every feature of the protocol, over HTTP. */
async function everythingOverHttp(t) {
  const port = await freePort();
  const child = spawn(NODE, [EVERYTHING, 'streamableHttp'], { env: { PATH: process.env.PATH, PORT: String(port) }, stdio: 'ignore' });
  t.after(() => child.kill('SIGKILL'));
  const url = `http://127.0.0.1:${port}/mcp`;
  const answers = () => fetch(url).then(() => true, () => false);
  await soon(answers, 'an answer of server-everything');
  return url;
}

test('three servers that others wrote are called through the box', async (t) => {
  const files = await temporaryDirectory();
  await writeFile(path.join(files, 'note.txt'), 'remember the milk');
  const url = await everythingOverHttp(t);
  const config =
    table('everything', command(NODE, EVERYTHING)) +
    table('files', command(NODE, FILESYSTEM, files)) +
    table('web', `url = ${JSON.stringify(url)}`);
  const server = await Server.start(t, { config });
  const person = await server.person();
  const client = await connect(t, person, 'user:read upstream:everything upstream:files upstream:web');
  const shown = await names(client);
  for (const name of ['get_authenticated_user', 'everything__echo', 'files__read_text_file', 'web__echo']) {
    assert.ok(shown.includes(name), `${name}: ${shown}\n${server.stderr}`);
  }
  for (const name of ['everything__echo', 'web__echo']) {
    assert.match(textOf(await call(client, name, { message: 'through the box' })), /through the box/);
  }
  const sum = await call(client, 'web__get-sum', { a: 2, b: 40 });
  assert.match(textOf(sum), /42/);
  const note = { path: path.join(files, 'note.txt') };
  assert.equal(textOf(await call(client, 'files__read_text_file', note)), 'remember the milk');

  const reader = await connect(t, person, 'upstream:files:read', '/mcp/files');
  const own = await names(reader);
  assert.ok(own.includes('read_text_file') && !own.includes('write_file'), String(own));
  assert.equal(textOf(await call(reader, 'read_text_file', note)), 'remember the milk');
  await assert.rejects(call(reader, 'write_file', { ...note, content: 'x' }), { code: 403 });
});

test('200 calls of 20 callers on one upstream each get their own answer', async (t) => {
  const server = await Server.start(t, { config: table('everything', command(NODE, EVERYTHING)) });
  const person = await server.person();
  const callers = [];
  for (let caller = 0; caller < 20; caller += 1) callers.push(await connect(t, person, 'upstream:everything'));
  const turns = callers.flatMap((client, caller) =>
    Array.from({ length: 10 }, async (_, turn) => {
      const message = `caller ${caller} turn ${turn}.`;
      const answer = textOf(await call(client, 'everything__echo', { message }));
      assert.ok(answer.includes(message), `${message} got ${answer}`);
    }),
  );
  await Promise.all(turns);
  assert.equal(turns.length, 200);
  assert.equal(server.stderr.match(/upstream=everything.*connected|connected.*upstream=everything/g)?.length, 1, server.stderr);
});

test('an upstream that is killed, dies or answers 100 MB ends one call, and the next one works', async (t) => {
  const config = table('test', command(NODE, OURS)) + table('other', command(NODE, OURS));
  const server = await Server.start(t, { config });
  const client = await connect(t, await server.person(), 'upstream:test upstream:other');
  const pid = async (upstream) => Number(textOf(await call(client, `${upstream}__pid`)));
  const other = await pid('other');
  const before = await pid('test');
  const hanging = call(client, 'test__hang');
  await soon(async () => textOf(await call(client, 'test__hanging')) === '1', 'the call has begun');
  process.kill(before, 'SIGKILL');
  const ended = await hanging;
  assert.equal(ended.isError, true);
  assert.match(textOf(ended), /^test ended during the call/);
  const after = await pid('test');
  assert.notEqual(after, before);

  const huge = await call(client, 'test__huge');
  assert.match(textOf(huge), /^test ended during the call: it sent a message of more than 4194304 bytes/);
  await soon(() => !runs(after), 'the child that said too much is gone');
  // The second failure in a row rests for a second.
  await sleep(1_100);
  const died = await call(client, 'test__die');
  assert.match(textOf(died), /^test ended during the call/);
  assert.equal(await pid('other'), other, 'the other upstream never noticed');
});

test('an upstream is added, used and removed while the box runs', async (t) => {
  const server = await Server.start(t);
  const data = ['--data', server.data];
  const added = await keystead(['upstream', 'add', 'test', ...data, '--json', '--', NODE, OURS]);
  assert.equal(added.code, 0, added.stderr);
  assert.deepEqual(JSON.parse(added.stdout).scopes, ['upstream:test', 'upstream:test:read']);
  for (const words of [['test', ...data, '--', NODE], ['search', ...data, '--', NODE], ['a__b', ...data, '--', NODE]]) {
    const refused = await keystead(['upstream', 'add', ...words]);
    assert.equal(refused.code, 1, JSON.stringify(words));
    assert.match(refused.stderr, /^error: .*expected/);
  }
  const person = await server.person();
  const client = await connect(t, person, 'user:read upstream:test');
  const pid = Number(textOf(await call(client, 'test__pid')));
  assert.ok(runs(pid));
  assert.match(server.stderr, /an upstream of the tests begins/);
  const shown = async (...words) => JSON.parse((await keystead(['upstream', ...words, ...data, '--json'])).stdout);
  const { upstreams: [row] } = await shown('list');
  assert.equal(row.state, 'connected', JSON.stringify(row));
  assert.ok(Date.parse(row.since) <= Date.now(), row.since);
  const { upstream_tools: tools } = await shown('tools', 'test');
  assert.equal(tools.find(({ name }) => name === 'test__pid')?.scope, 'upstream:test:read', JSON.stringify(tools));

  const { code } = await keystead(['upstream', 'remove', 'test', ...data]);
  assert.equal(code, 0);
  assert.ok(!(await names(client)).some((name) => name.startsWith('test__')));
  await soon(() => !runs(pid), 'the child of an upstream that was removed is gone');
  const { stdout } = await keystead(['audit', 'search', 'upstream', ...data]);
  assert.match(stdout, /upstream\.added/);
  assert.match(stdout, /upstream\.removed/);
});

test('a child has the environment that was named, and ends with the box', async (t) => {
  const secret = path.join(await temporaryDirectory(), 'key');
  await writeFile(secret, 'from the file\n');
  const env = `env = ["KEY=file:${secret}", "MODE=text:quiet", "NO_COLOR"]`;
  const server = await Server.start(t, { config: table('test', `${command(NODE, OURS)}\n${env}`) });
  const client = await connect(t, await server.person(), 'upstream:test:read');
  const found = JSON.parse(textOf(await call(client, 'test__environment')));
  assert.deepEqual(found, { PATH: process.env.PATH, HOME: server.data, KEY: 'from the file', MODE: 'quiet', NO_COLOR: '1' });
  const pid = Number(textOf(await call(client, 'test__pid')));
  await server.stop();
  assert.ok(!runs(pid), 'the child outlived the box');
});

test('a child is kept to its paths and to its limits, or not begun', async (t) => {
  const [mine, theirs] = [await temporaryDirectory(), await temporaryDirectory()];
  for (const directory of [mine, theirs]) await writeFile(path.join(directory, 'note'), 'a note');
  const paths = `read_paths = ${JSON.stringify([OURS, mine])}`;
  const memory = 'memory_bytes_max = 1073741824\nopen_files_max = 64';
  const config =
    table('kept', `${command(NODE, OURS)}\n${paths}`) +
    table('small', `${command(NODE, OURS)}\n${memory}\nworking_directory = ${JSON.stringify(mine)}`) +
    table('lost', `${command(NODE, OURS)}\nread_paths = ["/no/such/path"]`);
  const server = await Server.start(t, { config });
  const client = await connect(t, await server.person(), 'upstream:kept upstream:small upstream:lost');

  assert.equal(textOf(await call(client, 'small__read', { path: 'note' })), 'a note', server.stderr);
  const large = await call(client, 'small__allocate', { bytes: 1_500_000_000 });
  assert.equal(large.isError, true, JSON.stringify(large));
  const lost = await call(client, 'lost__pid');
  assert.equal(lost.isError, true);
  assert.match(server.stderr, /cannot open \/no\/such\/path|expected a kernel with Landlock/);

  const read = (directory) => call(client, 'kept__read', { path: path.join(directory, 'note') });
  const own = await read(mine);
  if (own.isError) {
    // A kernel without Landlock: the program is not run without what its owner asked for.
    assert.match(server.stderr, /expected a kernel with Landlock/, `${JSON.stringify(own)}\n${server.stderr}`);
    return;
  }
  assert.equal(textOf(own), 'a note');
  assert.match(textOf(await read(theirs)), /EACCES/);
  const written = await call(client, 'kept__write', { path: path.join(mine, 'note') });
  assert.match(textOf(written), /EACCES/);
});
