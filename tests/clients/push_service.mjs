// A push service of ours, with browsers behind it whose messages are decrypted by `http_ece` and
// whose sender is checked by `jose`: neither was written by us.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createECDH, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import https from 'node:https';
import path from 'node:path';
import { promisify } from 'node:util';
import ece from 'http_ece';
import { importJWK, jwtVerify } from 'jose';
import { temporaryDirectory } from './harness.mjs';

/** As long as a push service has to accept a token (RFC 8292 §2). */
const TOKEN_SECONDS_MAX = 24 * 60 * 60;
/** As long as one of ours lasts. */
const OUR_TOKEN_SECONDS_MAX = 12 * 60 * 60;

const run = promisify(execFile);

/** A certificate for this machine's own address, made by openssl. */
async function certificate() {
  const directory = await temporaryDirectory();
  const [cert, key] = ['cert.pem', 'key.pem'].map((name) => path.join(directory, name));
  await run('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=push',
    '-addext', 'subjectAltName=IP:127.0.0.1', '-addext', 'basicConstraints=critical,CA:FALSE', '-keyout', key, '-out', cert,
  ]);
  return { cert, key };
}

export class PushService {
  /** By path: the keys of the browser that is told there. */
  #browsers = new Map();
  /** By path: what a message is answered, as `{ status, headers }`, or `hang`. */
  answers = new Map();
  /** What every other path answers. */
  answer = { status: 201 };
  /** Every message, in the order in which they came. */
  messages = [];

  /** A push service that `t` ends. */
  static async start(t) {
    const service = new PushService();
    const { cert, key } = await certificate();
    service.ca = cert;
    service.listener = https.createServer({ cert: await readFile(cert), key: await readFile(key) }, (request, response) => {
      const pieces = [];
      request.on('data', (piece) => pieces.push(piece));
      request.on('end', () => service.#take(request, Buffer.concat(pieces), response));
    });
    await new Promise((resolve) => service.listener.listen(0, '127.0.0.1', resolve));
    service.origin = `https://127.0.0.1:${service.listener.address().port}`;
    t.after(() => {
      service.listener.close();
      service.listener.closeAllConnections();
    });
    return service;
  }

  /** What the server needs to reach it. */
  get args() {
    return ['--experiments', 'web-push', '--egress-allow', '127.0.0.1', '--egress-ca', this.ca];
  }

  #take({ method, url, headers }, body, response) {
    this.messages.push({ method, path: url, headers, body });
    const answer = this.answers.get(url) ?? this.answer;
    if (answer === 'hang') return;
    response.writeHead(answer.status, answer.headers).end();
  }

  /** A new browser at `path`, as the page hands it over. */
  browser(at) {
    const ecdh = createECDH('prime256v1');
    const publicKey = ecdh.generateKeys();
    const auth = randomBytes(16).toString('base64url');
    this.#browsers.set(at, { ecdh, auth });
    return { endpoint: `${this.origin}${at}`, p256dh_key: publicKey.toString('base64url'), auth_key: auth };
  }

  /** The messages at `path`. */
  at(path) {
    return this.messages.filter((message) => message.path === path);
  }

  /** What `message` says to its browser, and nobody else. */
  read({ path, body }) {
    const { ecdh, auth } = this.#browsers.get(path);
    const plain = ece.decrypt(body, { version: 'aes128gcm', privateKey: ecdh, authSecret: auth });
    return JSON.parse(plain.toString('utf8'));
  }

  /** Checks that `message` is from whoever has the pair of `publicKey`; returns what it claims. */
  async verify(message, publicKey) {
    const [, token, key] = message.headers.authorization.match(/^vapid t=([^,]+), k=([\w-]+)$/);
    assert.equal(key, publicKey);
    const point = Buffer.from(key, 'base64url');
    const [x, y] = [point.subarray(1, 33), point.subarray(33)].map((half) => half.toString('base64url'));
    const { payload } = await jwtVerify(token, await importJWK({ kty: 'EC', crv: 'P-256', x, y }, 'ES256'), {
      algorithms: ['ES256'],
      audience: this.origin,
    });
    const left = payload.exp - Date.now() / 1000;
    assert.ok(left > 0 && left <= OUR_TOKEN_SECONDS_MAX && left <= TOKEN_SECONDS_MAX, `${left} s`);
    return payload;
  }
}
