// What becomes of a box whose disk is full, whose files are read-only, or whose data file is not
// what it was: a clear refusal, and nothing lost.

import assert from 'node:assert/strict';
import { chmod, chown, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';
import { keystead, Server, soon } from './harness.mjs';
import { obtainTokens, refreshForm, register, statusOf, tokenRequest, WEB_CALLBACK } from './oauth.mjs';
import { FileLimit, SmallDisk } from './storage_disk.mjs';

/** Registrations of the largest size after which a full disk must have been noticed. */
const LARGE_MAX = 400;
/** Redirect URIs that make a registration large, and the length of each. */
const URIS = 30;
const URI_BYTES = 1_900;
/** Large registrations while there is room. */
const BEFORE = 20;
/** Writers at once against a full disk. */
const WRITERS = 64;
/** When a full disk that `/readyz` has not noticed will not be: it believes an answered write for 5 s. */
const UNNOTICED_MS_MAX = 60_000;
/** The user to whom nothing belongs. */
const NOBODY = 65534;
const FAILED = 1;

const long = (at) => `${WEB_CALLBACK}/${at}/`.padEnd(URI_BYTES, 'x');
const large = { redirect_uris: Array.from({ length: URIS }, (_, at) => long(at)) };

/** Registers a client of `metadata`; the answer whatever it is. */
async function tryToRegister(server, metadata = {}) {
  const response = await fetch(`${server.url}/oauth2/register`, {
    method: 'POST',
    body: JSON.stringify({ redirect_uris: [WEB_CALLBACK], token_endpoint_auth_method: 'none', ...metadata }),
    headers: { 'content-type': 'application/json' },
  });
  return { status: response.status, retryAfter: response.headers.get('retry-after'), body: await response.json() };
}

const readiness = async (server) => (await fetch(`${server.url}/readyz`)).status;

/** Every one of `clients` is registered. */
async function allThere(clients) {
  for (const { registration_client_uri: url, registration_access_token: token } of clients) {
    const { status } = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
    assert.equal(status, 200, 'an answered registration is gone');
  }
}

/** Somebody with a session, a client with a secret, and its tokens. */
class Household {
  static async of(server) {
    const house = new Household();
    house.person = await server.person();
    house.client = await register(server, { token_endpoint_auth_method: 'client_secret_post' });
    house.secret = { client_secret: house.client.client_secret };
    house.tokens = [];
    const { client_id, redirect_uris } = await register(server);
    house.open = { client_id, redirect_uris };
    house.tokens.push(await obtainTokens(house.person, house.open));
    return house;
  }

  refresh(server) {
    return tokenRequest(server, refreshForm(this.open, this.tokens.at(-1).refresh_token));
  }

  /** What only reads, works. */
  async read(server) {
    for (const { access_token } of this.tokens) assert.equal(await statusOf(server, access_token), 200, 'an answered token is gone');
    const metadata = await fetch(`${server.url}/.well-known/oauth-authorization-server`);
    assert.equal(metadata.status, 200);
    assert.equal((await this.person.open('/account')).status, 200);
    const form = new URLSearchParams({ client_id: this.client.client_id, ...this.secret, token: 'none' });
    const introspected = await fetch(`${server.url}/oauth2/introspect`, { method: 'POST', body: form });
    assert.deepEqual([introspected.status, await introspected.json()], [200, { active: false }]);
    assert.equal((await fetch(`${server.url}/healthz`)).status, 200);
  }
}

/** Registers large clients until one is refused: those that were answered, and the refusal. */
async function fillUp(server) {
  const answered = [];
  for (let count = 0; count < LARGE_MAX; count++) {
    const { status, retryAfter, body } = await tryToRegister(server, large);
    if (status !== 201) return { answered, refused: { status, retryAfter, body } };
    answered.push(body);
  }
  return assert.fail(`${LARGE_MAX} large registrations fit on a full disk`);
}

/** Registers small clients, for which there may be room where there is none for large ones, until `/readyz` sees that there is none. */
async function unready(server) {
  const answered = [];
  const end = Date.now() + UNNOTICED_MS_MAX;
  for (;;) {
    const { status, body } = await tryToRegister(server);
    assert.ok([201, 503].includes(status), `${status} ${JSON.stringify(body)}`);
    if (status === 201) answered.push(body);
    else if ((await readiness(server)) === 503) return answered;
    assert.ok(Date.now() < end, `ready ${UNNOTICED_MS_MAX} ms after the disk was full:\n${server.stderr}`);
  }
}

async function recovered(server) {
  await soon(async () => (await readiness(server)) === 200, 'ready again now that there is room');
}

async function fullDisk(t, disk) {
  let server = await Server.start(t, disk.options);
  const house = await Household.of(server);
  const before = await Promise.all(Array.from({ length: BEFORE }, () => register(server, large)));
  await disk.fill(server);
  const { answered, refused } = await fillUp(server);
  assert.equal(refused.status, 503, JSON.stringify(refused));
  assert.match(refused.retryAfter ?? '', /^\d+$/);
  // What went wrong is for the log, and not for strangers.
  assert.doesNotMatch(JSON.stringify(refused.body), /disk|file|os error/i);
  assert.match(server.stderr, /disk is full|may not become larger/);
  assert.doesNotMatch(server.stderr, /panicked/);

  await house.read(server);
  answered.push(...(await unready(server)));
  await house.read(server);
  const burst = await Promise.all(Array.from({ length: WRITERS }, () => tryToRegister(server, large)));
  for (const { status, body } of burst) {
    assert.ok([201, 503].includes(status), `${status} ${JSON.stringify(body)}`);
    if (status === 201) answered.push(body);
  }
  assert.ok(burst.some(({ status }) => status === 503), 'a full disk took everything');
  const cut = await house.refresh(server);
  if (cut.status === 200) house.tokens.push(cut.body);
  else assert.equal(cut.status, 503);

  await disk.relieve(server);
  await recovered(server);
  await house.read(server);
  await allThere([...before, ...answered]);
  answered.push((await tryToRegister(server)).body);
  const { status, body } = await house.refresh(server);
  assert.equal(status, 200, JSON.stringify(body));
  house.tokens.push(body);
  await server.check();
  await server.stop();
  await server.check();

  server = await Server.start(t, { ...disk.options, data: server.data, listen: server.listen });
  await house.read(server);
  await allThere([...before, ...answered]);
  await server.stop();
  t.diagnostic(`${disk.name}: ${answered.length} registrations were answered and are there`);
}

describe('a full disk refuses writes, not reads, and is over once there is room', { concurrency: true }, () => {
  test('for a limit on the size of a file, by whose signal nobody dies', (t) => fullDisk(t, new FileLimit()));

  test('for a disk without room', async (t) => {
    const { disk, why } = await SmallDisk.mount(t);
    if (!disk) return t.diagnostic(`NOT TRIED: this machine lets the test mount no disk (${why})`);
    return fullDisk(t, disk);
  });
});

/** A server cannot start: one sentence that says where and what to do. */
async function refusesToStart(options, { data }, ...says) {
  const { code, stdout, stderr } = await keystead(['serve', '--data', data, '--listen', '127.0.0.1:0'], options);
  assert.equal(code, FAILED, stderr);
  assert.equal(stdout, '');
  assert.equal(stderr.trim().split('\n').length, 1, stderr);
  for (const part of [new RegExp(data), ...says]) assert.match(stderr, part);
}

/** A data directory that a server has used and left, and what was answered. */
async function used(t, options) {
  const server = await Server.start(t, options);
  const house = await Household.of(server);
  const clients = [];
  for (let count = 0; count < 8; count++) clients.push(await register(server));
  await server.stop();
  return { server, house, clients, file: path.join(server.data, 'keystead.redb') };
}

describe('what cannot be written to is refused at the start, by name', () => {
  test('a file system that is read-only', async (t) => {
    const { disk, why } = await SmallDisk.mount(t);
    if (!disk) return t.diagnostic(`NOT TRIED: this machine lets the test mount no disk (${why})`);
    const { server, house, clients } = await used(t, disk.options);
    await disk.remount('ro');
    await refusesToStart({ wrap: disk.wrap }, server, /read-only/i);
    await disk.remount('rw');
    const again = await Server.start(t, { ...disk.options, listen: server.listen });
    await house.read(again);
    await allThere(clients);
    return again.stop();
  });

  test('a file and a directory without the right to write', async (t) => {
    const { server, file } = await used(t);
    const isRoot = process.getuid() === 0;
    // The administrator may write to everything, so it has to be somebody else who tries.
    const who = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
    for (const name of isRoot ? [server.data, file] : []) await chown(name, NOBODY, NOBODY);
    const bytes = await readFile(file);
    await chmod(file, 0o400);
    await refusesToStart(who, server, /permission/i);
    assert.ok(bytes.equals(await readFile(file)), 'a file that may not be written to was changed');
    await chmod(file, 0o600);
    await chmod(server.data, 0o500);
    await refusesToStart(who, server, /permission/i);
    await chmod(server.data, 0o700);
  });
});

/** Starts on `file` made to be `bytes`: refused as it is, or everything that was answered is there. */
async function refusedOrWhole(t, { server, house, clients, file }, bytes, how) {
  await writeFile(file, bytes);
  const { data, listen } = server;
  const again = await Server.launch(t, { data, listen });
  const started = await again.ready().then(() => true, () => false);
  assert.doesNotMatch(again.stderr, /panicked/, how);
  if (!started) {
    assert.match(again.stderr, /keystead\.redb/, how);
    assert.ok(bytes.equals(await readFile(file)), `${how}: refused, and changed`);
    return 'refused';
  }
  await house.read(again);
  await allThere(clients);
  await again.check();
  await again.stop();
  return 'whole';
}

describe('a data file that is not what it was', () => {
  test('is refused untouched when it ends too early', async (t) => {
    const box = await used(t);
    const bytes = await readFile(box.file);
    for (const length of [1, 63, 4_095, bytes.length >> 1, bytes.length - 4_096, bytes.length - 1]) {
      const became = await refusedOrWhole(t, box, bytes.subarray(0, length), `${length} of ${bytes.length} bytes`);
      assert.equal(became, 'refused', `${length} of ${bytes.length} bytes`);
    }
  });

  test('is refused untouched when something of it is gone, unless that was nothing', async (t) => {
    const box = await used(t);
    const bytes = await readFile(box.file);
    const PAGE_BYTES = 4_096;
    const isUsed = (page) => bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES).some(Boolean);
    const pages = Array.from({ length: bytes.length / PAGE_BYTES }, (_, page) => page).filter(isUsed);
    const became = [];
    // Every third: the first, which says what the file is, among them.
    for (const page of pages.filter((_, at) => at % 3 === 0)) {
      const damaged = Buffer.from(bytes);
      damaged.fill(0, page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
      became.push(await refusedOrWhole(t, box, damaged, `without page ${page}`));
    }
    assert.ok(became.includes('refused'), 'no page was missed');
    t.diagnostic(`of ${became.length} pages ${became.filter((what) => what === 'refused').length} were missed`);
  });
});
