// The server block of the README, in front of the box: pages, tools and both kinds of streams come
// through it, and the address of who asks.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import WebSocket from 'ws';
import { Server, freePort, keystead, soon, temporaryDirectory } from './harness.mjs';
import { WEB_CALLBACK, mcpRequest, obtainTokens, register } from './oauth.mjs';

const WATCH = '/api/v2/notifications/inbox/watch';
/** An address of this machine by which the one who asks is told from nginx. */
const ELSEWHERE = '127.0.0.77';

const NGINX = ['/usr/sbin/nginx', path.join(import.meta.dirname, '../../target/nginx/usr/sbin/nginx')].find((file) => existsSync(file));
assert.ok(NGINX, 'expected nginx in /usr/sbin or target/nginx: run tests/run');

/** The block as it is printed, but for where it listens, its certificate, and where the box listens. */
async function serverBlock(listen, backend) {
  const readme = await readFile(path.join(import.meta.dirname, '../../README.md'), 'utf8');
  const [, block] = readme.match(/```nginx\n([^]*?)```/);
  return block
    .replace('listen 443 ssl;', `listen ${listen};`)
    .replace(/^ *ssl_.*\n/gm, '')
    .replaceAll('127.0.0.1:8420', backend);
}

/** nginx with that block, as a process of this test. */
async function nginx(t, block) {
  const directory = await temporaryDirectory();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`);
  const file = path.join(directory, 'nginx.conf');
  await writeFile(
    file,
    `daemon off; master_process off; pid nginx.pid; error_log stderr; events {}
http { access_log off; ${temporary.join(' ')}\n${block}}\n`,
  );
  const child = spawn(NGINX, ['-p', directory, '-e', 'stderr', '-c', file], { stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = once(child, 'close');
  t.after(async () => {
    child.kill('SIGKILL');
    await ended;
  });
}

/** A box behind nginx, and nothing between them but the block of the README. */
async function behindNginx(t) {
  const [front, back] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  await nginx(t, await serverBlock(front, back));
  const url = `http://localhost:${front.split(':')[1]}`;
  const server = await Server.start(t, { listen: back, args: ['--public-url', url, '--trusted-proxy', '127.0.0.1'] });
  assert.equal(server.url, url);
  await soon(() => fetch(`${url}/healthz`).then(({ ok }) => ok, () => false), 'nginx');
  return server;
}

test('the reverse proxy of the README passes everything on, streams at once', async (t) => {
  const server = await behindNginx(t);
  const { url } = server;
  const ada = await server.person('ada');
  const client = await register(server);
  const scope = 'user:read notifications:read notifications:write';
  const tokens = await obtainTokens(ada, client, { scope });
  const called = await mcpRequest(server, tokens.access_token, 'tools/call', { name: 'get_authenticated_user' });
  assert.equal(called.status, 200);
  assert.match(await called.text(), /"ada"/);

  const api = await obtainTokens(ada, client, { scope, resource: url });
  const authorization = `Bearer ${api.access_token}`;
  const socket = new WebSocket(url.replace('http', 'ws') + WATCH, { headers: { authorization } });
  const said = [];
  socket.on('message', (data) => said.push(JSON.parse(data)));
  const events = await fetch(url + WATCH, { headers: { authorization, accept: 'text/event-stream' } });
  assert.equal(events.status, 200);
  const read = events.body.pipeThrough(new TextDecoderStream()).getReader();
  let heard = '';
  const hears = async (words) => {
    while (!heard.includes(words)) {
      const { done, value } = await read.read();
      assert.ok(!done, heard);
      heard += value;
    }
  };
  await soon(() => said.length === 1, 'the state over the WebSocket');
  await hears('\n\n');
  const told = await fetch(`${url}/api/v2/notifications/custom`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ title: 'Through nginx' }),
  });
  assert.equal(told.status, 201, await told.clone().text());
  const { id } = await told.json();
  await soon(() => said.length === 2, 'news over the WebSocket');
  assert.ok(JSON.stringify(said[1]).includes(id));
  await hears(id);
  socket.terminate();
  await read.cancel();
});

test('the address of who asks comes through the reverse proxy', async (t) => {
  const server = await behindNginx(t);
  const metadata = JSON.stringify({ client_name: 'Elsewhere', redirect_uris: [WEB_CALLBACK], token_endpoint_auth_method: 'none' });
  const asking = request(`${server.url}/oauth2/register`, {
    method: 'POST',
    localAddress: ELSEWHERE,
    family: 4,
    headers: { 'content-type': 'application/json', 'content-length': metadata.length, 'x-forwarded-for': '203.0.113.9' },
  });
  asking.end(metadata);
  const [answer] = await once(asking, 'response');
  answer.resume();
  assert.equal(answer.statusCode, 201);
  const { stdout } = await keystead(['audit', 'search', 'client.registered', '--json', '--data', server.data]);
  assert.ok(stdout.includes(ELSEWHERE) && !stdout.includes('203.0.113.9'), stdout);
});
