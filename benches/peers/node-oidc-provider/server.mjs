// node-oidc-provider as a peer of Keystead: opaque tokens, PKCE, rotating refresh tokens,
// registration, introspection, and a person who is signed in and has consented, so that the
// authorization endpoint answers with a code at once.
//
//   node server.mjs memory|map|sqlite [file]
//
// `memory` is its own adapter, `map` and `sqlite` are ours (adapters.mjs).

import { createServer } from 'node:http';
import Provider from 'oidc-provider';
import { adapterNamed } from './adapters.mjs';

const [kind = 'memory', file] = process.argv.slice(2);
/** The one person. */
const ACCOUNT = 'ada';

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const url = `http://localhost:${server.address().port}`;
  const provider = new Provider(url, {
    adapter: adapterNamed(kind, file),
    findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
    scopes: ['user:read'],
    cookies: { keys: ['a key that signs cookies in a benchmark'] },
    pkce: { required: () => true },
    issueRefreshToken: () => true,
    rotateRefreshToken: true,
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: true },
      introspection: { enabled: true },
      userinfo: { enabled: false },
    },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    ttl: { AccessToken: 3600, RefreshToken: 30 * 86400, AuthorizationCode: 60, Grant: 180 * 86400, Session: 7 * 86400, Interaction: 600 },
  });
  const answer = provider.callback();
  server.on('request', (request, response) => {
    if (request.url.startsWith('/interaction/')) consent(provider, request, response).catch((fault) => {
      console.error(fault);
      response.writeHead(500, { 'content-length': 0 }).end();
    });
    else answer(request, response);
  });
  console.log(`ready at ${url}`);
});

/** Signs the person in and allows what was asked for: the page that a real deployment would show. */
async function consent(provider, request, response) {
  const { prompt, params } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    await provider.interactionFinished(request, response, { login: { accountId: ACCOUNT } });
    return;
  }
  const grant = new provider.Grant({ accountId: ACCOUNT, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const grantId = await grant.save();
  await provider.interactionFinished(request, response, { consent: { grantId } }, { mergeWithLastSubmission: true });
}

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(0));
