// Web push of the built binary: what a push service gets, what its answers do, and what a kill -9
// loses.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { keystead, Server, soon } from './harness.mjs';
import { PushService } from './push_service.mjs';

const CONTACT = 'mailto:ada@box.example';

const SUBSCRIPTION = '/api/v2/users/me/webpush/subscription';
const TEST = '/api/v2/users/me/webpush/test';

/** A box that pushes, and its owner, signed in. */
async function box(t, service, more = []) {
  const server = await Server.start(t, { args: [...service.args, '--webpush-contact', CONTACT, ...more] });
  const person = await server.person();
  await person.signIn();
  return { server, person };
}

/** One call of the API by a page. */
async function call(person, method, target, body) {
  const me = await person.fetch('/api/v2/users/me');
  const headers = { 'content-type': 'application/json', 'x-csrf-token': me.headers.get('x-csrf-token'), origin: person.server.url };
  const response = await person.fetch(target, { method, headers, body: JSON.stringify(body) });
  return { status: response.status, text: await response.text() };
}

async function subscribe(person, service, path) {
  const { status, text } = await call(person, 'POST', SUBSCRIPTION, service.browser(path));
  assert.equal(status, 204, `${path}: ${text}`);
}

const buildinfo = async (server) => (await fetch(`${server.url}/api/v2/buildinfo`)).json();

test('a message is read by its browser alone, and its sender is proved', async (t) => {
  const service = await PushService.start(t);
  const { server, person } = await box(t, service);
  const { webpush_public_key: key } = await buildinfo(server);
  await subscribe(person, service, '/push/one');
  await subscribe(person, service, '/push/two');
  const { status } = await call(person, 'POST', TEST, {});
  assert.equal(status, 204);
  await soon(() => service.messages.length === 4, 'two tries and two messages');
  for (const message of service.messages) {
    assert.equal(message.method, 'POST');
    const { sub } = await service.verify(message, key);
    assert.equal(sub, CONTACT);
    assert.equal(message.headers['content-encoding'], 'aes128gcm');
    assert.ok(message.body.length <= 4096);
    const other = { ...message, path: message.path === '/push/one' ? '/push/two' : '/push/one' };
    assert.throws(() => service.read(other));
  }
  const [tried, sent] = service.at('/push/one');
  assert.equal(service.read(tried).id, undefined);
  assert.equal(tried.headers.ttl, '60');
  const said = service.read(sent);
  assert.deepEqual([said.title, said.url, said.actions], ['It works', '/inbox', [{ label: 'Open the inbox', url: '/inbox' }]]);
  assert.match(said.id, /^[0-9A-Za-z]{22}$/);
  assert.match(sent.headers.topic, /^[\w-]{32}$/);
  assert.equal(sent.headers.urgency, 'normal');
  const ttl = Number(sent.headers.ttl);
  assert.ok(ttl > 86_000 && ttl <= 86_400, String(ttl));
  const [, sameThere] = service.at('/push/two');
  assert.equal(service.read(sameThere).id, said.id);
});

test('each answer of a push service does its own', async (t) => {
  const service = await PushService.start(t);
  const { server, person } = await box(t, service);
  const paths = ['/push/good', '/push/gone', '/push/unknown', '/push/busy', '/push/broken', '/push/refused', '/push/hangs'];
  for (const path of paths) await subscribe(person, service, path);
  service.messages = [];
  service.answers = new Map([
    ['/push/gone', { status: 410 }],
    ['/push/unknown', { status: 404 }],
    ['/push/busy', { status: 429, headers: { 'retry-after': '6' } }],
    ['/push/broken', { status: 503 }],
    ['/push/refused', { status: 403 }],
    ['/push/hangs', 'hang'],
  ]);
  const first = Date.now();
  assert.equal((await call(person, 'POST', TEST, {})).status, 204);
  await soon(() => service.messages.length === paths.length, 'one message each');
  for (const path of ['/push/busy', '/push/broken', '/push/hangs']) service.answers.delete(path);
  await soon(() => service.at('/push/busy').length === 2, 'a second try after 429');
  assert.ok(Date.now() - first >= 6_000, 'Retry-After was not waited for');
  await soon(() => service.at('/push/broken').length === 2, 'a second try after 503');
  await soon(() => service.at('/push/hangs').length === 2, 'a second try after silence');
  for (const path of ['/push/busy', '/push/broken', '/push/hangs']) {
    const [before, after] = service.at(path);
    assert.deepEqual(service.read(after), service.read(before));
    assert.equal(after.headers.topic, before.headers.topic);
  }
  for (const path of ['/push/good', '/push/gone', '/push/unknown', '/push/refused']) assert.equal(service.at(path).length, 1, path);
  assert.equal(server.stderr.match(/a push service refuses messages/g)?.length, 1, server.stderr);

  // Two of them are forgotten, and nobody else is.
  service.messages = [];
  assert.equal((await call(person, 'POST', TEST, {})).status, 204);
  await soon(() => service.messages.length === 5, 'five browsers are left');
  await sleep(200);
  assert.deepEqual(service.messages.map(({ path }) => path).sort(), ['/push/broken', '/push/busy', '/push/good', '/push/hangs', '/push/refused']);
});

test('kill -9 with a full queue loses nothing', async (t) => {
  const service = await PushService.start(t);
  const { server, person } = await box(t, service);
  const [browsers, rounds] = [16, 10];
  const paths = Array.from({ length: browsers }, (_, number) => `/push/${number}`);
  for (const path of paths) await subscribe(person, service, path);
  service.messages = [];
  service.answer = 'hang';
  for (let round = 0; round < rounds; round += 1) assert.equal((await call(person, 'POST', TEST, {})).status, 204);
  await soon(() => service.messages.length > 0, 'some are on their way');
  const { listen, data } = server;
  await server.kill();
  service.answer = { status: 201 };
  const [killed, delivered] = [service.messages, new Set()];
  service.messages = [];
  const again = await Server.start(t, { data, listen, args: [...service.args, '--webpush-contact', CONTACT] });
  const note = (message) => delivered.add(`${message.path} ${service.read(message).id}`);
  await soon(() => {
    for (const message of service.messages.splice(0)) note(message);
    return delivered.size === browsers * rounds;
  }, `${browsers * rounds} messages, found ${delivered.size}`);
  for (const message of killed) assert.ok(delivered.has(`${message.path} ${service.read(message).id}`));
  // Once the answers are written down, nothing is left to be sent after another restart.
  await soon(async () => {
    const checked = await keystead(['check', '--json', '--data', data]);
    const queue = JSON.parse(checked.stdout).tables.find(({ name }) => name === 'push_queue_v1');
    return queue.rows === 0;
  }, 'an empty queue');
  await again.stop();
  const last = await Server.start(t, { data, listen, args: service.args });
  await sleep(500);
  assert.equal(service.messages.length, 0);
  await last.check();
});

test('another pair of keys forgets every browser, and egress off pushes nothing', async (t) => {
  const service = await PushService.start(t);
  const { server, person } = await box(t, service);
  await subscribe(person, service, '/push/one');
  const { webpush_public_key: before } = await buildinfo(server);
  const asked = await keystead(['vapid', 'regenerate', '--data', server.data]);
  assert.equal(asked.code, 2, asked.stderr);
  const done = await keystead(['vapid', 'regenerate', '--yes', '--json', '--data', server.data]);
  assert.deepEqual(JSON.parse(done.stdout), { subscriptions_removed: 1 }, done.stderr);
  const { webpush_public_key: after } = await buildinfo(server);
  assert.notEqual(after, before);
  assert.equal((await call(person, 'POST', TEST, {})).status, 409);
  await subscribe(person, service, '/push/two');
  await service.verify(service.at('/push/two')[0], after);

  const { listen, data } = server;
  await server.stop();
  const off = await Server.start(t, { data, listen, args: ['--experiments', '*', '--egress', 'off'] });
  assert.equal((await buildinfo(off)).webpush_public_key, undefined);
  person.server = off;
  const refused = await call(person, 'POST', SUBSCRIPTION, service.browser('/push/three'));
  assert.equal(refused.status, 409);
  assert.match(refused.text, /--egress off/);
  assert.match(off.stderr, /--egress off: notifications are not pushed/);
});
