// The plain OAuth path through oauth4webapi, which checks every answer strictly: content types,
// issuers, `iss`, `state`, PKCE, token types. Plain http is the one thing that it is told to accept.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as oauth from 'oauth4webapi';
import { Server } from './harness.mjs';
import { statusOf } from './oauth.mjs';

const http = { [oauth.allowInsecureRequests]: true };
const REDIRECT = 'https://app.example/callback';

/** A box, its owner, and a client that has discovered and registered itself. */
async function registered(t, metadata = {}, { config } = {}) {
  const server = await Server.start(t, { config });
  const person = await server.person();
  const issuer = new URL(server.url);
  const discovery = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...http });
  const as = await oauth.processDiscoveryResponse(issuer, discovery);
  const registration = await oauth.dynamicClientRegistrationRequest(
    as,
    { client_name: 'Strict client', redirect_uris: [REDIRECT], grant_types: ['authorization_code', 'refresh_token'], ...metadata },
    http,
  );
  const client = await oauth.processDynamicClientRegistrationResponse(registration);
  const authentication = {
    none: () => oauth.None(),
    client_secret_basic: () => oauth.ClientSecretBasic(client.client_secret),
    client_secret_post: () => oauth.ClientSecretPost(client.client_secret),
  }[client.token_endpoint_auth_method]();
  return { server, person, as, client, authentication };
}

/** Runs the authorization request to its validated answer. */
async function authorized({ person, as, client }, parameters = {}, decision = 'allow') {
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const url = new URL(as.authorization_endpoint);
  const all = {
    client_id: client.client_id,
    redirect_uri: REDIRECT,
    response_type: 'code',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    resource: `${person.server.url}/mcp`,
    ...parameters,
  };
  for (const [name, value] of Object.entries(all)) url.searchParams.set(name, value);
  const callback = await person.authorize(url, { decision });
  return { callback, state, verifier, url };
}

/** The code grant, whole. */
async function granted(context, { verifier, redirect = REDIRECT } = {}) {
  const answer = await authorized(context);
  const parameters = oauth.validateAuthResponse(context.as, context.client, answer.callback, answer.state);
  const exchange = () =>
    oauth.authorizationCodeGrantRequest(
      context.as, context.client, context.authentication, parameters, redirect, verifier ?? answer.verifier, http,
    );
  return { exchange, parameters };
}

const tokensOf = ({ as, client }, response) => oauth.processAuthorizationCodeResponse(as, client, response);

const refresh = async ({ as, client, authentication }, token, options = {}) => {
  const response = await oauth.refreshTokenGrantRequest(as, client, authentication, token, { ...http, ...options });
  return oauth.processRefreshTokenResponse(as, client, response);
};

/** The error that an OAuth answer carries. */
const refused = (error, status) => (fault) => {
  assert.equal(fault.error, error, `${fault}: ${JSON.stringify(fault.cause)}`);
  if (status) assert.equal(fault.status, status);
  return true;
};

for (const method of ['none', 'client_secret_basic', 'client_secret_post']) {
  describe(`oauth4webapi, ${method}`, () => {
    const metadata = { token_endpoint_auth_method: method };

    test('a code becomes tokens, and the tokens open the resource', async (t) => {
      const context = await registered(t, metadata);
      const { exchange } = await granted(context);
      const tokens = await tokensOf(context, await exchange());
      assert.equal(tokens.token_type, 'bearer');
      assert.ok(tokens.expires_in > 0);
      assert.ok(tokens.refresh_token);
      assert.ok(tokens.scope);
      assert.equal(await statusOf(context.server, tokens.access_token), 200);
    });

    test('a refresh rotates; the predecessor gives the same successor within the window', async (t) => {
      const context = await registered(t, metadata);
      const first = await tokensOf(context, await (await granted(context)).exchange());
      const second = await refresh(context, first.refresh_token);
      assert.notEqual(second.refresh_token, first.refresh_token);
      const again = await refresh(context, first.refresh_token);
      assert.equal(again.refresh_token, second.refresh_token);
      const third = await refresh(context, second.refresh_token);
      assert.notEqual(third.refresh_token, second.refresh_token);
      // Two generations back is a replay at any time, and ends the family.
      await assert.rejects(refresh(context, first.refresh_token), refused('invalid_grant', 400));
      await assert.rejects(refresh(context, third.refresh_token), refused('invalid_grant', 400));
      assert.equal(await statusOf(context.server, third.access_token), 401);
    });

    test('revoking a refresh token ends its family', async (t) => {
      const context = await registered(t, metadata);
      const { as, client, authentication, server } = context;
      const tokens = await tokensOf(context, await (await granted(context)).exchange());
      const response = await oauth.revocationRequest(as, client, authentication, tokens.refresh_token, http);
      await oauth.processRevocationResponse(response);
      await assert.rejects(refresh(context, tokens.refresh_token), refused('invalid_grant', 400));
      assert.equal(await statusOf(server, tokens.access_token), 401);
    });

    test('revoking an access token ends it', async (t) => {
      const context = await registered(t, metadata);
      const { as, client, authentication, server } = context;
      const tokens = await tokensOf(context, await (await granted(context)).exchange());
      const response = await oauth.revocationRequest(as, client, authentication, tokens.access_token, http);
      await oauth.processRevocationResponse(response);
      assert.equal(await statusOf(server, tokens.access_token), 401);
    });

    test('a replayed code is refused and revokes what the first exchange issued', async (t) => {
      const context = await registered(t, metadata);
      const { exchange } = await granted(context);
      const tokens = await tokensOf(context, await exchange());
      await assert.rejects(exchange().then((response) => tokensOf(context, response)), refused('invalid_grant', 400));
      assert.equal(await statusOf(context.server, tokens.access_token), 401);
      await assert.rejects(refresh(context, tokens.refresh_token), refused('invalid_grant', 400));
    });

    test('a wrong verifier is refused and spends the code', async (t) => {
      const context = await registered(t, metadata);
      const answer = await authorized(context);
      const parameters = oauth.validateAuthResponse(context.as, context.client, answer.callback, answer.state);
      for (const verifier of [oauth.generateRandomCodeVerifier(), answer.verifier]) {
        const exchange = oauth.authorizationCodeGrantRequest(
          context.as, context.client, context.authentication, parameters, REDIRECT, verifier, http,
        );
        await assert.rejects(exchange.then((response) => tokensOf(context, response)), refused('invalid_grant', 400));
      }
    });

    test('another redirect URI than the one the code was given for is refused', async (t) => {
      const context = await registered(t, metadata);
      const { exchange } = await granted(context, { redirect: 'https://app.example/other' });
      await assert.rejects(exchange().then((response) => tokensOf(context, response)), refused('invalid_grant', 400));
    });
  });
}

test('an unknown client is told so with a challenge', async (t) => {
  const context = await registered(t);
  const client = { ...context.client, client_id: '0'.repeat(22) };
  const { parameters } = await granted(context);
  const response = await oauth.authorizationCodeGrantRequest(
    context.as, client, oauth.ClientSecretBasic('ks_cs_wrong'),
    oauth.validateAuthResponse(context.as, client, parameters, parameters.get('state')),
    REDIRECT, oauth.generateRandomCodeVerifier(), http,
  );
  assert.equal(response.status, 401);
  assert.match(response.headers.get('www-authenticate'), /^Basic realm="keystead"/);
  assert.equal((await response.json()).error, 'invalid_client');
});

test('plain PKCE is refused by a redirect that the client can validate', async (t) => {
  const context = await registered(t);
  const answer = await authorized(context, { code_challenge: 'a'.repeat(43), code_challenge_method: 'plain' });
  assert.throws(
    () => oauth.validateAuthResponse(context.as, context.client, answer.callback, answer.state),
    (fault) => fault.cause.get('error') === 'invalid_request' && fault.cause.get('iss') === context.server.url,
  );
});

test('a missing challenge is refused by a redirect that names it', async (t) => {
  const context = await registered(t);
  const answer = await authorized(context, { code_challenge: '' });
  const error = answer.callback.searchParams;
  assert.equal(error.get('error'), 'invalid_request');
  assert.match(error.get('error_description'), /code_challenge/);
});

test('a denial reaches the client with state and issuer', async (t) => {
  const context = await registered(t);
  const answer = await authorized(context, {}, 'deny');
  assert.throws(
    () => oauth.validateAuthResponse(context.as, context.client, answer.callback, answer.state),
    (fault) => fault.cause.get('error') === 'access_denied',
  );
});

test('a redirect URI that was not registered never gets a redirect', async (t) => {
  const context = await registered(t);
  const { url } = await authorized(context);
  url.searchParams.set('redirect_uri', 'https://app.example/callback/');
  const response = await context.person.fetch(url);
  assert.equal(response.status, 400);
  assert.equal(response.headers.get('location'), null);
});

test('an unknown resource is refused as invalid_target', async (t) => {
  const context = await registered(t);
  const answer = await authorized(context, { resource: 'https://elsewhere.example/mcp' });
  assert.equal(answer.callback.searchParams.get('error'), 'invalid_target');
});

test('a refresh can narrow the scope, never widen it', async (t) => {
  const context = await registered(t);
  const tokens = await tokensOf(context, await (await granted(context)).exchange());
  const [one] = tokens.scope.split(' ');
  const narrow = await refresh(context, tokens.refresh_token, { additionalParameters: { scope: one } });
  assert.equal(narrow.scope, one);
  // A narrowed scope is for that access token only.
  const whole = await refresh(context, narrow.refresh_token);
  assert.deepEqual(new Set(whole.scope.split(' ')), new Set(tokens.scope.split(' ')));
  const wider = context.as.scopes_supported.find((scope) => !tokens.scope.split(' ').includes(scope) && scope !== 'offline_access');
  assert.ok(wider, 'expected a scope beyond the least');
  await assert.rejects(
    refresh(context, whole.refresh_token, { additionalParameters: { scope: `${tokens.scope} ${wider}` } }),
    refused('invalid_scope', 400),
  );
});

test('one client cannot use the code or the refresh token of another', async (t) => {
  const context = await registered(t, { token_endpoint_auth_method: 'none' });
  const second = await oauth.processDynamicClientRegistrationResponse(
    await oauth.dynamicClientRegistrationRequest(
      context.as,
      { redirect_uris: [REDIRECT], grant_types: ['authorization_code', 'refresh_token'], token_endpoint_auth_method: 'none' },
      http,
    ),
  );
  const other = { ...context, client: second };
  const answer = await authorized(context);
  const parameters = oauth.validateAuthResponse(context.as, context.client, answer.callback, answer.state);
  const stolen = await oauth.authorizationCodeGrantRequest(
    context.as, second, oauth.None(),
    oauth.validateAuthResponse(context.as, second, answer.callback, answer.state),
    REDIRECT, answer.verifier, http,
  );
  assert.equal((await stolen.json()).error, 'invalid_grant');
  assert.ok(parameters);

  const tokens = await tokensOf(context, await (await granted(context)).exchange());
  await assert.rejects(refresh(other, tokens.refresh_token), refused('invalid_grant', 400));
  assert.ok(await refresh(context, tokens.refresh_token));
});

test('registration names the URI that it refuses', async (t) => {
  const { as } = await registered(t);
  for (const uri of ['http://app.example/callback', 'javascript:alert(1)', 'https://app.example/#x']) {
    const response = await oauth.dynamicClientRegistrationRequest(as, { redirect_uris: [REDIRECT, uri] }, http);
    await assert.rejects(oauth.processDynamicClientRegistrationResponse(response), (fault) => {
      assert.equal(fault.error, 'invalid_redirect_uri');
      assert.ok(fault.error_description.includes(uri), fault.error_description);
      return true;
    });
  }
});
