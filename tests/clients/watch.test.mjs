// The watched inbox, by a WebSocket client that we did not write and that follows the protocol to
// the letter.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import WebSocket from 'ws';
import { Server } from './harness.mjs';
import { authority, fetchTrusting, startHttps } from './https.mjs';
import { obtainTokens, register } from './oauth.mjs';

const INBOX = '/api/v2/notifications/inbox';
/** How often a stream is pinged, and a little more. */
const PING_MS_MAX = 60_000;

const url = (server) => `${server.url.replace('http', 'ws')}${INBOX}/watch`;
const cookieOf = (person) => [...person.cookies].map(([name, value]) => `${name}=${value}`).join('; ');

/** A stream, and what came over it that nobody has asked for yet. */
class Stream {
  #messages = [];
  #waiting = [];

  constructor(server, options) {
    this.socket = new WebSocket(url(server), options);
    this.closed = once(this.socket, 'close').then(([code, reason]) => [code, reason.toString()]);
    this.socket.on('message', (data) => {
      this.#messages.push(JSON.parse(data));
      this.#waiting.shift()?.();
    });
  }

  /** The next message. */
  async message() {
    while (this.#messages.length === 0) await new Promise((resolve) => this.#waiting.push(resolve));
    return this.#messages.shift();
  }
}

const ofBrowser = (server, person) => new Stream(server, { origin: server.url, headers: { cookie: cookieOf(person) } });
const ofProgram = (server, token) => new Stream(server, { headers: { authorization: `Bearer ${token}` } });

/** Somebody who is signed in, and what a page of theirs sends with. */
async function signedIn(server, name) {
  const person = await server.person(name);
  await person.signIn();
  const me = await person.fetch('/api/v2/users/me');
  const csrf = me.headers.get('x-csrf-token');
  const send = (method, path, body) =>
    person.fetch(path, {
      method,
      headers: { 'x-csrf-token': csrf, 'content-type': 'application/json', origin: server.url },
      body: body && JSON.stringify(body),
    });
  const tell = async (title) => {
    const told = await send('POST', '/api/v2/notifications/custom', { title });
    assert.equal(told.status, 201, await told.clone().text());
    return (await told.json()).id;
  };
  return { person, send, tell };
}

/** Status of a handshake that is refused. */
async function refused(server, options) {
  const socket = new WebSocket(url(server), options);
  const [, response] = await once(socket, 'unexpected-response');
  response.destroy();
  return response.statusCode;
}

test('every tab and every program of a person is told, and nobody else', async (t) => {
  const server = await Server.start(t);
  const ada = await signedIn(server, 'ada');
  const bob = await signedIn(server, 'bob');
  const client = await register(server);
  const scope = 'notifications:read';
  const { access_token } = await obtainTokens(ada.person, client, { scope, resource: server.url });
  const streams = [ofBrowser(server, ada.person), ofBrowser(server, ada.person), ofProgram(server, access_token)];
  const other = ofBrowser(server, bob.person);
  for (const stream of [...streams, other]) assert.equal((await stream.message()).notification, null);

  const id = await ada.tell('The backup is done');
  for (const stream of streams) {
    const { notification, unread_count } = await stream.message();
    assert.deepEqual([notification.id, notification.title], [id, 'The backup is done']);
    assert.ok(unread_count >= 1);
  }
  const read = await ada.send('PUT', `${INBOX}/${id}/read-status`, { is_read: true });
  assert.equal(read.status, 200);
  for (const stream of streams) assert.notEqual((await stream.message()).notification.read_at, null);
  await bob.tell('Hers');
  assert.equal((await other.message()).notification.title, 'Hers', 'the first that Bob is told');
  for (const stream of [...streams, other]) stream.socket.close();
  for (const stream of [...streams, other]) assert.equal((await stream.closed)[0], 1005);
});

test('a reader that speaks is told why it is over', async (t) => {
  const server = await Server.start(t);
  const { person } = await signedIn(server, 'ada');
  for (const speech of ['hello', Buffer.from('hello'), 'x'.repeat(1_000_000)]) {
    const stream = ofBrowser(server, person);
    await stream.message();
    stream.socket.send(speech);
    const [code, reason] = await stream.closed;
    assert.equal(code, 1008, `${reason}`);
    assert.match(reason, /only the server speaks/);
  }
});

test('a stream is pinged, and ends with the session that opened it', async (t) => {
  const server = await Server.start(t);
  const ada = await signedIn(server, 'ada');
  const stream = ofBrowser(server, ada.person);
  await stream.message();
  const late = AbortSignal.timeout(PING_MS_MAX);
  await once(stream.socket, 'ping', { signal: late });
  const page = await ada.person.open('/account');
  await ada.person.submit(page, page.form('form[action="/sign-out"] button'));
  const ended = await Promise.race([stream.closed, once(late, 'abort').then(() => stream.closed)]);
  assert.equal(ended[0], 1008);
  assert.match(ended[1], /credential/);
});

test('a page of another site opens nothing with the cookie of a person', async (t) => {
  const server = await Server.start(t);
  const { person } = await signedIn(server, 'ada');
  const headers = { cookie: cookieOf(person) };
  assert.equal(await refused(server, { headers, origin: 'https://evil.example' }), 403);
  assert.equal(await refused(server, { headers }), 403);
  assert.equal(await refused(server, { origin: server.url }), 401);
});

test('a server that stops tells its readers', async (t) => {
  const server = await Server.start(t);
  const { person } = await signedIn(server, 'ada');
  const streams = Array.from({ length: 50 }, () => ofBrowser(server, person));
  for (const stream of streams) await stream.message();
  await server.end();
  for (const stream of streams) assert.equal((await stream.closed)[0], 1001);
});

test('over TLS it is the same, and is closed in order by either side', async (t) => {
  const server = await startHttps(t);
  const ca = await authority(server);
  server.fetch = fetchTrusting(ca);
  const ada = await signedIn(server, 'ada');
  const options = { ca, origin: server.url, headers: { cookie: cookieOf(ada.person) } };
  const [leaves, stays] = [new Stream(server, options), new Stream(server, options)];
  for (const stream of [leaves, stays]) assert.equal((await stream.message()).notification, null);
  assert.equal(new URL(leaves.socket.url).protocol, 'wss:');
  const id = await ada.tell('The backup is done');
  for (const stream of [leaves, stays]) assert.equal((await stream.message()).notification.id, id);
  leaves.socket.close(1000);
  assert.equal((await leaves.closed)[0], 1000);
  const told = await ada.tell('Another');
  assert.equal((await stays.message()).notification.id, told);
  await server.end();
  const [code, reason] = await stays.closed;
  assert.equal(code, 1001, reason);
});
