// openid-client: what most Node applications sign in with. It checks every answer as oauth4webapi
// does, and chooses by itself how to authenticate and what to compare.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as client from 'openid-client';
import { keystead, Server } from './harness.mjs';
import { register, statusOf } from './oauth.mjs';

const REDIRECT = 'https://app.example/callback';
/** Plain OAuth, and plain http: the one thing that it is told to accept. */
const options = { algorithm: 'oauth2', execute: [client.allowInsecureRequests] };

const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
/** Another server of the house, and what it lets clients do. */
const FILES = 'https://files.example/mcp';
const FILES_READ = 'files:read';

const METHODS = {
  none: () => client.None(),
  client_secret_basic: (secret) => client.ClientSecretBasic(secret),
  client_secret_post: (secret) => client.ClientSecretPost(secret),
};

/** A box, its owner, and an application that has discovered and registered itself. */
async function registered(t, method) {
  const server = await Server.start(t);
  const person = await server.person();
  const metadata = {
    client_name: 'Node application',
    redirect_uris: [REDIRECT],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: method,
  };
  // The secret is known only once it is registered, and openid-client asks how to use it before.
  const authentication = (as, registered, body, headers) => METHODS[method](registered.client_secret)(as, registered, body, headers);
  const config = await client.dynamicClientRegistration(new URL(server.url), metadata, authentication, options);
  return { server, person, config };
}

/** What an application knows that is told its identifier. */
const discovered = (server, id, authentication) => client.discovery(new URL(server.url), id, undefined, authentication, options);

/** Runs `keystead` on the data of a running server, and returns what it printed as JSON. */
async function administer(server, ...args) {
  const { code, stdout, stderr } = await keystead([...args, '--data', server.data, '--json']);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

/** The code grant, whole. */
async function granted({ server, person, config }, { scope } = {}) {
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    resource: `${server.url}/mcp`,
    ...(scope ? { scope } : {}),
  });
  const callback = await person.authorize(url);
  return client.authorizationCodeGrant(config, callback, { pkceCodeVerifier: verifier, expectedState: state });
}

const refused = (error) => (fault) => {
  assert.equal(fault.error, error, `${fault}: ${JSON.stringify(fault.cause)}`);
  return true;
};

for (const method of Object.keys(METHODS)) {
  describe(`openid-client, ${method}`, () => {
    test('a code becomes tokens, the tokens open the resource, and a refresh renews them', async (t) => {
      const context = await registered(t, method);
      const tokens = await granted(context, { scope: 'user:read grants:read' });
      assert.equal(tokens.token_type, 'bearer');
      assert.ok(tokens.expiresIn() > 0);
      assert.deepEqual(new Set(tokens.scope.split(' ')), new Set(['user:read', 'grants:read']));
      assert.equal(await statusOf(context.server, tokens.access_token), 200);

      const renewed = await client.refreshTokenGrant(context.config, tokens.refresh_token);
      assert.notEqual(renewed.refresh_token, tokens.refresh_token);
      assert.equal(await statusOf(context.server, renewed.access_token), 200);
      const narrowed = await client.refreshTokenGrant(context.config, renewed.refresh_token, { scope: 'user:read' });
      assert.equal(narrowed.scope, 'user:read');
    });

    test('what it revokes is ended', async (t) => {
      const context = await registered(t, method);
      const tokens = await granted(context);
      await client.tokenRevocation(context.config, tokens.access_token);
      assert.equal(await statusOf(context.server, tokens.access_token), 401);
      await client.tokenRevocation(context.config, tokens.refresh_token);
      await assert.rejects(client.refreshTokenGrant(context.config, tokens.refresh_token), refused('invalid_grant'));
    });

    test('a code is for one exchange', async (t) => {
      const context = await registered(t, method);
      let form;
      // What it sent, to be sent again.
      context.config[client.customFetch] = (url, init) => {
        if (`${url}`.endsWith('/oauth2/token')) form ??= new URLSearchParams(init.body);
        return fetch(url, init);
      };
      const tokens = await granted(context);
      const { code, code_verifier: verifier } = Object.fromEntries(form);
      const again = client.genericGrantRequest(context.config, 'authorization_code', {
        code, code_verifier: verifier, redirect_uri: REDIRECT,
      });
      await assert.rejects(again, refused('invalid_grant'));
      assert.equal(await statusOf(context.server, tokens.access_token), 401);
    });
  });
}

/** What a client that the owner of the box added may do, with nobody at a browser. */
describe('openid-client, added by the owner', () => {
  test('gets a token for itself, and looks it up', async (t) => {
    const server = await Server.start(t);
    await administer(server, 'resource', 'add', FILES, '--scope', FILES_READ);
    const added = await administer(server, 'client', 'add', 'job', '--grant', 'client_credentials', '--scope', FILES_READ);
    const config = await discovered(server, added.client_id, client.ClientSecretBasic(added.client_secret));
    const tokens = await client.clientCredentialsGrant(config, { resource: FILES, scope: FILES_READ });
    assert.equal(tokens.scope, FILES_READ);
    assert.equal(tokens.refresh_token, undefined);
    const found = await client.tokenIntrospection(config, tokens.access_token);
    assert.deepEqual([found.active, found.aud, found.client_id, found.scope], [true, FILES, added.client_id, FILES_READ]);
    await client.tokenRevocation(config, tokens.access_token);
    assert.deepEqual(await client.tokenIntrospection(config, tokens.access_token), { active: false });
  });

  test('has a device signed in by somebody at a browser', async (t) => {
    const server = await Server.start(t);
    const ada = await server.person('ada');
    const { client_id: id } = await register(server, { redirect_uris: [], grant_types: [DEVICE_GRANT, 'refresh_token'] });
    const config = await discovered(server, id, client.None());
    const device = await client.initiateDeviceAuthorization(config, { scope: 'user:read' });
    const polling = client.pollDeviceAuthorizationGrant(config, device);
    const page = await ada.consentPage(device.verification_uri_complete);
    const asking = await ada.submit(page, page.form('[name=user_code]'));
    await ada.submit(asking, asking.form('[name=decision]'), { decision: 'allow' });
    const tokens = await polling;
    assert.equal(tokens.scope, 'user:read');
    assert.ok((await client.refreshTokenGrant(config, tokens.refresh_token)).access_token);
  });
});
