// What stands between the conformance suite, which has no way to say who it is, and the endpoint,
// which asks.

import { createServer, request } from 'node:http';

/**
 * Starts a proxy on this machine that shows `accessToken` with everything it passes on to `server`,
 * and that `t` stops. Returns its origin.
 *
 * A Host or an Origin that names the proxy becomes the server's own; any other is passed on as it
 * is, so that the server judges it.
 */
export async function bearerProxy(t, server, accessToken) {
  const { hostname, port, host } = new URL(server.url);
  const proxy = createServer((incoming, outgoing) => {
    const headers = { ...incoming.headers, authorization: `Bearer ${accessToken}` };
    if (names.has(headers.host)) headers.host = host;
    if (names.has(headers.origin?.replace('http://', ''))) headers.origin = server.url;
    const { method, url: path } = incoming;
    const forwarded = request({ hostname, port, method, path, headers, agent: false }, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    });
    // Whoever hangs up here hangs up there, and the other way round.
    outgoing.on('close', () => forwarded.destroy());
    forwarded.on('error', () => outgoing.destroy());
    incoming.pipe(forwarded);
  });
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const names = new Set(['127.0.0.1', 'localhost'].map((name) => `${name}:${proxy.address().port}`));
  t.after(() => {
    proxy.closeAllConnections();
    return new Promise((resolve) => proxy.close(resolve));
  });
  return `http://localhost:${proxy.address().port}`;
}
