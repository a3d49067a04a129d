// Faults of the process: one clear sentence, an exit code that is not 0, and nothing changed.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmod, chown, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { keystead, Server, temporaryDirectory } from './harness.mjs';

const WRONG_USE = 2;
const FAILED = 1;
/** The user to whom nothing belongs. */
const NOBODY = 65534;

/** Every file below `directory` with its digest and mode. */
async function fingerprint(directory) {
  const names = await readdir(directory, { recursive: true });
  const rows = [];
  for (const name of names.sort()) {
    const file = path.join(directory, name);
    const { mode } = await stat(file);
    const bytes = (await stat(file)).isFile() ? await readFile(file) : '';
    rows.push([name, mode, createHash('sha256').update(bytes).digest('hex')]);
  }
  return rows;
}

/** Runs `args`, which must fail with `code` and one sentence that matches every one of `says`. */
async function fails(args, code, ...says) {
  const result = await keystead(args);
  assert.equal(result.code, code, result.stderr);
  for (const part of says) assert.match(result.stderr, part);
  assert.doesNotMatch(result.stderr, /panicked|RUST_BACKTRACE/);
  assert.equal(result.stdout, '');
  const lines = result.stderr.trim().split('\n');
  assert.ok(code === WRONG_USE || lines.length === 1, `expected one sentence, found:\n${result.stderr}`);
}

const serve = (data, ...more) => ['serve', '--data', data, '--listen', '127.0.0.1:0', ...more];

/** A data directory that a server has used and left. */
async function used(t) {
  const server = await Server.start(t);
  await server.person('ada');
  await server.stop();
  return server.data;
}

/** The data file: the largest file of the directory. */
async function dataFile(data) {
  const files = await Promise.all(
    (await readdir(data)).map(async (name) => [(await stat(path.join(data, name))).size, path.join(data, name)]),
  );
  return files.sort(([a], [b]) => b - a)[0][1];
}

test('SIGTERM ends the server in order', async (t) => {
  const server = await Server.start(t);
  await server.stop();
});

test('a busy port is named', async (t) => {
  const listener = createServer();
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  t.after(() => listener.close());
  const { port } = listener.address();
  const data = await temporaryDirectory();
  await fails(['serve', '--data', data, '--listen', `127.0.0.1:${port}`], FAILED, new RegExp(`127\\.0\\.0\\.1:${port}`));
});

test('a data directory in use is left alone', async (t) => {
  const server = await Server.start(t);
  await fails(serve(server.data), FAILED, /in use|another/i);
  assert.equal((await fetch(`${server.url}/healthz`)).status, 200);
});

test('a foreign data file is refused and kept', async (t) => {
  const data = await used(t);
  const file = await dataFile(data);
  for (const bytes of ['SQLite format 3\0'.repeat(64), 'x']) {
    await writeFile(file, bytes);
    const before = await fingerprint(data);
    await fails(serve(data), FAILED, new RegExp(path.basename(file).replace('.', '\\.')));
    assert.deepEqual(await fingerprint(data), before);
  }
});

test('a data file cut short is refused and kept', async (t) => {
  const data = await used(t);
  const file = await dataFile(data);
  const bytes = await readFile(file);
  await writeFile(file, bytes.subarray(0, bytes.length >> 1));
  const before = await fingerprint(data);
  await fails(serve(data), FAILED, new RegExp(path.basename(file).replace('.', '\\.')));
  assert.deepEqual(await fingerprint(data), before);
});

test('a data file that is a directory is refused', async (t) => {
  const name = path.basename(await dataFile(await used(t)));
  const data = await temporaryDirectory();
  await mkdir(path.join(data, name));
  await fails(serve(data), FAILED, new RegExp(name.replace('.', '\\.')));
});

test('a data directory that is a file is refused', async (t) => {
  const file = path.join(await temporaryDirectory(), 'data');
  await writeFile(file, 'mine');
  await fails(serve(file), FAILED, /data/);
  assert.equal(await readFile(file, 'utf8'), 'mine');
});

test('a data file that may not be read is refused by name', async (t) => {
  const data = await used(t);
  const file = await dataFile(data);
  if (process.getuid() === 0) {
    // The administrator may read everything, so somebody else tries, to whom only the directory belongs.
    await chmod(file, 0o600);
    await chown(data, NOBODY, NOBODY);
    const result = await keystead(serve(data), { uid: NOBODY, gid: NOBODY });
    assert.equal(result.code, FAILED);
    assert.match(result.stderr, new RegExp(`${path.basename(file)}.*permission`, 'i'));
    return;
  }
  await chmod(file, 0o000);
  await fails(serve(data), FAILED, /permission/i);
});

test('broken certificates are refused by name', async (t) => {
  const directory = await temporaryDirectory();
  const [certificate, key] = ['cert.pem', 'key.pem'].map((name) => path.join(directory, name));
  const data = path.join(directory, 'data');
  const https = ['--public-url', 'https://localhost:8443', '--tls-cert', certificate, '--tls-key', key];
  await fails(serve(data, ...https), FAILED, /cert\.pem/);
  await writeFile(certificate, '-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n');
  await writeFile(key, 'nothing');
  await fails(serve(data, ...https), FAILED, /cert\.pem|key\.pem/);
});

test('wrong flags name the setting, what was expected and what was found', async (t) => {
  const data = await temporaryDirectory();
  const table = [
    [['--listen', 'nonsense'], /--listen/, /nonsense/],
    [['--public-url', 'http://box.lan'], /public-url/, /https/],
    [['--public-url', 'https://box.lan/path'], /public-url/],
    [['--tls-cert', 'only.pem'], /tls.key/],
    [['--rate-limit', 'perhaps'], /rate-limit/, /perhaps/],
    [['--no-such-flag'], /--no-such-flag/],
    [['--config', path.join(data, 'absent.toml')], /absent\.toml/],
  ];
  for (const [flags, ...says] of table) {
    await fails(['serve', '--data', data, ...flags], WRONG_USE, ...says);
  }
  assert.deepEqual(await readdir(data), []);
});

test('a wrong configuration file names the key', async (t) => {
  const directory = await temporaryDirectory();
  const file = path.join(directory, 'keystead.toml');
  const data = path.join(directory, 'data');
  const table = [
    ['[token]\naccess_ttl = "soon"\n', /access_ttl/, /soon/],
    ['[token]\naccess_tll = "1h"\n', /access_tll/],
    ['[token]\naccess_ttl = "2h"\nrefresh_idle_ttl = "1h"\n', /refresh_idle_ttl/],
    ['listen = \n', /keystead\.toml/],
  ];
  for (const [text, ...says] of table) {
    await writeFile(file, text);
    await fails(serve(data, '--config', file), WRONG_USE, ...says);
  }
});

test('plain http to other machines is refused with what to do', async (t) => {
  const data = await temporaryDirectory();
  await fails(['serve', '--data', data, '--listen', '0.0.0.0:0'], WRONG_USE, /https/);
});

test('users are managed whether the server runs or not', async (t) => {
  const server = await Server.start(t);
  const names = async () => {
    const { code, stdout, stderr } = await keystead(['user', 'list', '--json', '--data', server.data]);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout).users.map(({ name }) => name);
  };
  await server.person('ada');
  assert.deepEqual(await names(), ['ada']);
  await server.stop();
  assert.deepEqual(await names(), ['ada']);
  const added = await keystead(['user', 'add', 'ben', '--password-stdin', '--data', server.data], { input: 'correct horse battery\n' });
  assert.equal(added.code, 0, added.stderr);
  assert.deepEqual((await names()).sort(), ['ada', 'ben']);
  const twice = await keystead(['user', 'add', 'ben', '--password-stdin', '--data', server.data], { input: 'correct horse battery\n' });
  assert.equal(twice.code, FAILED);
  assert.match(twice.stderr, /ben/);
});

test('a password is never taken from an argument', async (t) => {
  const data = await temporaryDirectory();
  const result = await keystead(['user', 'add', 'ada', '--password', 'secret', '--data', data]);
  assert.equal(result.code, WRONG_USE);
});

test('the data directory and what is in it are for its owner only', async (t) => {
  const server = await Server.start(t);
  assert.equal((await stat(server.data)).mode & 0o077, 0);
  for (const name of await readdir(server.data)) {
    const { mode } = await stat(path.join(server.data, name));
    assert.equal(mode & 0o077, 0, name);
  }
});

test('secrets are in no log, however much is logged', async (t) => {
  const { obtainTokens, refreshForm, register, tokenRequest } = await import('./oauth.mjs');
  const server = await Server.start(t, { args: ['--log-level', 'trace'] });
  const person = await server.person();
  const client = await register(server, { token_endpoint_auth_method: 'client_secret_post' });
  const tokens = await obtainTokens(person, { ...client }, {}).catch(() => undefined);
  assert.equal(tokens, undefined, 'a confidential client got tokens without its secret');
  const open = await register(server);
  const first = await obtainTokens(person, open);
  const { body: second } = await tokenRequest(server, refreshForm(open, first.refresh_token));
  await server.stop();
  assert.notEqual(server.stderr, '');
  for (const secret of [first.access_token, first.refresh_token, second.access_token, second.refresh_token, client.client_secret, person.password]) {
    assert.ok(!server.stderr.includes(secret), secret.slice(0, 6));
  }
});
