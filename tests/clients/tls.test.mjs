// TLS as a client sees it: the built-in authority, HTTP/2, and certificates that change while
// connections last.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import http2 from 'node:http2';
import https from 'node:https';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Server, soon, temporaryDirectory } from './harness.mjs';
import { authority, get, startHttps } from './https.mjs';

/** When what is not answered is a hang. */
const HANG_MS = 30_000;

const run = promisify(execFile);

/** A self-signed certificate for localhost in `directory`, made by openssl. */
async function certificate(directory) {
  const [cert, key] = ['cert.pem', 'key.pem'].map((name) => path.join(directory, name));
  await run('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost',
    '-addext', 'subjectAltName=DNS:localhost', '-addext', 'basicConstraints=critical,CA:FALSE', '-keyout', key, '-out', cert,
  ]);
  return { cert, key };
}

test('a client that trusts /ca.crt trusts the box', async (t) => {
  const server = await startHttps(t);
  const ca = await authority(server);
  const { status, headers } = await get(`${server.url}/healthz`, { ca });
  assert.equal(status, 200);
  assert.match(headers['strict-transport-security'], /max-age=\d+/);
  await assert.rejects(get(`${server.url}/healthz`, { ca: [] }), /certificate|issuer/i);
});

test('an OAuth client of node verifies the whole path', async (t) => {
  const server = await startHttps(t);
  const ca = path.join(await temporaryDirectory(), 'ca.crt');
  await writeFile(ca, await authority(server));
  const script = `const url = ${JSON.stringify(server.url)};
    const metadata = await (await fetch(url + '/.well-known/oauth-authorization-server')).json();
    console.log(metadata.issuer === url, (await fetch(metadata.token_endpoint, { method: 'POST' })).status);`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script], { env: { NODE_EXTRA_CA_CERTS: ca } });
  assert.match(stdout, /^true 4\d\d\n$/);
});

test('the built-in authority survives a restart', async (t) => {
  const server = await startHttps(t);
  const ca = await authority(server);
  await server.stop();
  const again = await Server.start(t, { data: server.data, listen: server.listen, args: ['--public-url', server.url] });
  assert.equal(await authority(again), ca);
  assert.equal((await get(`${again.url}/healthz`, { ca })).status, 200);
});

test('HTTP/2 is chosen by ALPN, and HTTP/1.1 without it', async (t) => {
  const server = await startHttps(t);
  const ca = await authority(server);
  const session = http2.connect(server.url, { ca });
  t.after(() => session.close());
  const status = await new Promise((resolve, reject) => {
    session.on('error', reject);
    const stream = session.request({ ':path': '/healthz' });
    stream.on('response', (headers) => resolve(headers[':status'])).on('error', reject).resume().end();
  });
  assert.equal(status, 200);
  assert.equal(session.alpnProtocol, 'h2');
  assert.equal((await get(`${server.url}/healthz`, { ca, ALPNProtocols: ['http/1.1'] })).socket.alpnProtocol, 'http/1.1');
});

test('SIGHUP serves the new certificate and keeps the old connections', async (t) => {
  const directory = await temporaryDirectory();
  const { cert, key } = await certificate(directory);
  const server = await startHttps(t, ['--tls-cert', cert, '--tls-key', key]);
  const kept = new https.Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
  t.after(() => kept.destroy());
  const first = await get(`${server.url}/healthz`, { agent: kept });

  await certificate(directory);
  server.reload();
  const fresh = () => get(`${server.url}/healthz`, { agent: false, rejectUnauthorized: false });
  const now = await soon(async () => {
    const seen = await fresh();
    return seen.serial !== first.serial && seen;
  }, 'the new certificate');
  const second = await get(`${server.url}/healthz`, { agent: kept });
  assert.equal(second.status, 200);
  assert.equal(second.socket, first.socket, 'the connection was dropped');

  // A broken file must not take the working certificate away.
  await writeFile(cert, 'nothing');
  server.reload();
  await soon(() => /cert\.pem/.test(server.stderr), 'a word about the broken file');
  assert.equal((await fresh()).serial, now.serial);
});

test('the built-in authority is not served where the certificate is not its own', async (t) => {
  const { cert, key } = await certificate(await temporaryDirectory());
  const server = await startHttps(t, ['--tls-cert', cert, '--tls-key', key]);
  assert.equal((await get(`${server.url}/ca.crt`, { rejectUnauthorized: false })).status, 404);
});

test('plain http on a TLS port is not a hang', async (t) => {
  const server = await startHttps(t);
  const { port } = new URL(server.url);
  await assert.rejects(fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(HANG_MS) }), (fault) => fault.name !== 'TimeoutError');
});
