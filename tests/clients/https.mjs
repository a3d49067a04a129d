// A box on https with its own certificate authority, and clients that trust it although the machine
// does not.

import assert from 'node:assert/strict';
import https from 'node:https';
import { Server, freePort } from './harness.mjs';

/** A server on https, with a certificate of its own authority unless `args` name another. */
export async function startHttps(t, args = []) {
  const port = await freePort();
  return Server.start(t, { listen: `127.0.0.1:${port}`, args: ['--public-url', `https://localhost:${port}`, ...args] });
}

/** One request through `agent`, a GET unless `method` says otherwise: the answer, and the certificate that was shown. */
export function get(url, { body, ...options }) {
  return new Promise((resolve, reject) => {
    const request = https.request(url, { servername: 'localhost', ...options }, (response) => {
      const pieces = [];
      const { socket } = response;
      response.on('data', (piece) => pieces.push(piece));
      response.on('end', () => {
        const shown = socket.getPeerCertificate?.();
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(pieces), serial: shown?.serialNumber, socket });
      });
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** The certificate of the built-in authority, as somebody fetches it who does not trust it yet. */
export async function authority(server) {
  const { status, body } = await get(`${server.url}/ca.crt`, { rejectUnauthorized: false });
  assert.equal(status, 200);
  return body.toString();
}

/** `fetch` as it would be on a machine that trusts `ca`. It follows no redirect. */
export function fetchTrusting(ca) {
  return async (url, init) => {
    const asked = new Request(url, init);
    const body = Buffer.from(await asked.arrayBuffer());
    const options = { ca, method: asked.method, headers: Object.fromEntries(asked.headers), body };
    const { status, headers, body: answered } = await get(url, options);
    const pairs = Object.entries(headers).flatMap(([name, value]) => [value].flat().map((one) => [name, one]));
    return new Response(answered.length > 0 ? answered : null, { status, headers: pairs });
  };
}
