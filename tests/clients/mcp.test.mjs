// The official MCP clients of both generations: from nothing but the URL of the box to a tool call.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import * as v2 from '@modelcontextprotocol/client';
import { auth, UnauthorizedError as UnauthorizedV1 } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Server } from './harness.mjs';
import { challengeOf, mcpRequest, obtainTokens, register, resourceMetadata, statusOf } from './oauth.mjs';
import { Provider } from './provider.mjs';

const info = { name: 'keystead-tests', version: '1.0.0' };

/** The second generation wraps what a probe of the protocol's era met. */
const needsConsentV2 = (fault) => [fault, fault.cause].some((one) => one instanceof v2.UnauthorizedError);

/** The clients: how each is made, finishes a sign-in and says that it needs one. */
const GENERATIONS = [
  {
    name: 'v1',
    era: undefined,
    client: () => new ClientV1(info),
    Transport: TransportV1,
    finish: (transport, callback) => transport.finishAuth(callback.searchParams.get('code')),
    needsConsent: (fault) => fault instanceof UnauthorizedV1,
    // It refreshes where it would have to ask again, so a host has to ask for more by itself.
    needsMore: (fault) => fault.code === 403,
    askForMore: (session, scope) => {
      session.provider.invalidateCredentials('tokens');
      return auth(session.provider, { serverUrl: `${session.person.server.url}/mcp`, scope });
    },
  },
  {
    name: 'v2, initialize',
    era: 'legacy',
    client: () => new v2.Client(info),
    Transport: v2.StreamableHTTPClientTransport,
    finish: (transport, callback) => transport.finishAuth(callback.searchParams),
    needsConsent: needsConsentV2,
  },
  {
    name: 'v2, server/discover',
    era: 'modern',
    client: () => new v2.Client(info, { versionNegotiation: { mode: 'auto' } }),
    Transport: v2.StreamableHTTPClientTransport,
    finish: (transport, callback) => transport.finishAuth(callback.searchParams),
    needsConsent: needsConsentV2,
  },
];

/** An MCP client, the provider that keeps its tokens, and the person it acts for. */
class Session {
  constructor(t, generation, person, provider = new Provider()) {
    Object.assign(this, { t, generation, person, provider });
  }

  /** Connects, and has the person consent when that is asked, but not to the scopes `without`. */
  async connect({ without } = {}) {
    const { client, Transport } = this.generation;
    const open = async () => {
      this.client = client();
      this.transport = new Transport(new URL(`${this.person.server.url}/mcp`), { authProvider: this.provider });
      await this.client.connect(this.transport);
    };
    await this.consenting(open, { without });
    this.t.after(() => this.client.close());
    return this;
  }

  /** Does `step`; where that needs a consent (to `scope`), has the person give it and does `step` again. */
  async consenting(step, { scope, without } = {}) {
    const { needsConsent, needsMore, askForMore, finish } = this.generation;
    try {
      return await step();
    } catch (fault) {
      if (scope && needsMore?.(fault)) assert.equal(await askForMore(this, scope), 'REDIRECT');
      else if (!needsConsent(fault)) throw fault;
    }
    const callback = await this.person.authorize(this.provider.opened.at(-1), { without });
    await finish(this.transport, callback);
    return step();
  }

  call(name, args = {}) {
    return this.client.callTool({ name, arguments: args });
  }
}

for (const generation of GENERATIONS) {
  describe(`MCP client ${generation.name}`, () => {
    test('finds its way from the URL alone to a tool call', async (t) => {
      const server = await Server.start(t);
      const session = await new Session(t, generation, await server.person('ada')).connect();
      assert.equal(session.provider.opened.length, 1);
      assert.equal(session.client.getProtocolEra?.(), generation.era);

      const { tools } = await session.client.listTools();
      assert.ok(tools.some(({ name }) => name === 'get_authenticated_user'), JSON.stringify(tools));
      const result = await session.call('get_authenticated_user');
      assert.ok(!result.isError, JSON.stringify(result));
      assert.match(JSON.stringify(result.structuredContent), /"ada"/);
    });

    test('learns of every tool what it does', async (t) => {
      const server = await Server.start(t);
      const session = await new Session(t, generation, await server.person()).connect();
      for (const tool of (await session.client.listTools()).tools) {
        assert.ok(tool.title ?? tool.annotations.title, tool.name);
        for (const hint of ['readOnlyHint', 'destructiveHint', 'idempotentHint', 'openWorldHint']) {
          assert.equal(typeof tool.annotations[hint], 'boolean', `${tool.name} ${hint}`);
        }
        assert.equal(tool.inputSchema.additionalProperties, false, tool.name);
        assert.equal(tool.outputSchema.type, 'object', tool.name);
      }
    });

    test('asks again for what was unticked, when a tool needs it', async (t) => {
      const server = await Server.start(t);
      const session = await new Session(t, generation, await server.person()).connect({ without: ['grants:write'] });
      const { tools } = await session.client.listTools();
      assert.ok(!tools.some(({ name }) => name === 'revoke_my_grant'));
      const [first] = (await session.call('list_my_grants')).structuredContent.grants;
      const revoke = () => session.call('revoke_my_grant', { grant_id: first.id });
      const result = await session.consenting(revoke, { scope: 'user:read grants:read grants:write' });
      assert.ok(!result.isError, JSON.stringify(result));
      assert.equal(session.provider.opened.length, 2);
      assert.match(session.provider.opened[1].searchParams.get('scope'), /grants:write/);

      const left = (await session.call('list_my_grants')).structuredContent.grants;
      assert.deepEqual(left.map(({ id, current }) => [id === first.id, current]), [[false, true]]);
    });

    test('loses everything with the grant that it revokes', async (t) => {
      const server = await Server.start(t);
      const session = await new Session(t, generation, await server.person()).connect();
      const [grant, ...others] = (await session.call('list_my_grants')).structuredContent.grants;
      assert.deepEqual(others, []);
      assert.equal(grant.client_name, 'TypeScript client');
      const { access_token } = session.provider.stored.tokens;
      assert.equal(await statusOf(server, access_token), 200);
      assert.ok(!(await session.call('revoke_my_grant', { grant_id: grant.id })).isError);
      assert.equal(await statusOf(server, access_token), 401);
    });

    test('refreshes an access token that has expired without asking the person', async (t) => {
      const server = await Server.start(t, { config: '[token]\naccess_ttl = "2s"\n' });
      const session = await new Session(t, generation, await server.person()).connect();
      const first = session.provider.stored.tokens;
      await sleep(2_500);
      assert.equal(await statusOf(server, first.access_token), 401);
      assert.ok(!(await session.call('get_authenticated_user')).isError);
      const second = session.provider.stored.tokens;
      assert.notEqual(second.access_token, first.access_token);
      assert.notEqual(second.refresh_token, first.refresh_token);
      assert.equal(session.provider.opened.length, 1);
    });

    test('registers as a public client when it says so', async (t) => {
      const server = await Server.start(t);
      const provider = new Provider({
        redirectUrl: 'http://127.0.0.1:33418/callback',
        metadata: { token_endpoint_auth_method: 'none' },
      });
      const session = await new Session(t, generation, await server.person(), provider).connect();
      assert.equal(provider.stored.client.token_endpoint_auth_method, 'none');
      assert.equal(provider.stored.client.client_secret, undefined);
      assert.ok(!(await session.call('get_authenticated_user')).isError);
    });

    test('learns that the person said no', async (t) => {
      const server = await Server.start(t);
      const person = await server.person();
      const session = new Session(t, generation, person);
      person.authorize = async (url) => Object.getPrototypeOf(person).authorize.call(person, url, { decision: 'deny' });
      await assert.rejects(session.connect());
      assert.equal(session.provider.stored.tokens, undefined);
    });

    test('is told that a tool is unknown by a protocol error', async (t) => {
      const server = await Server.start(t);
      const session = await new Session(t, generation, await server.person()).connect();
      await assert.rejects(session.call('no_such_tool'), { code: -32602 });
    });
  });
}

test('a 403 names every scope that the tool needs and where to learn more', async (t) => {
  const server = await Server.start(t);
  const person = await server.person();
  const { access_token, scope } = await obtainTokens(person, await register(server));
  const call = { name: 'revoke_my_grant', arguments: { grant_id: '0'.repeat(22) } };
  const response = await mcpRequest(server, access_token, 'tools/call', call);
  assert.equal(response.status, 403);
  const challenge = challengeOf(response);
  assert.equal(challenge.error, 'insufficient_scope');
  assert.equal(challenge.resource_metadata, `${server.url}/.well-known/oauth-protected-resource/mcp`);
  const missing = challenge.scope.split(' ').filter((one) => !scope.split(' ').includes(one));
  assert.ok(missing.length > 0, challenge.scope);

  const more = await obtainTokens(person, await register(server), { scope: challenge.scope });
  const again = await mcpRequest(server, more.access_token, 'tools/call', call);
  assert.equal(again.status, 200, await again.text());
});

test('tools/list shows only what the scopes of the token allow', async (t) => {
  const server = await Server.start(t);
  const person = await server.person();
  const names = async (token) => {
    const { result } = await (await mcpRequest(server, token, 'tools/list')).json();
    return result.tools.map(({ name }) => name);
  };
  const least = await obtainTokens(person, await register(server));
  assert.ok(!(await names(least.access_token)).includes('revoke_my_grant'));
  const metadata = await (await fetch(`${server.url}/.well-known/oauth-authorization-server`)).json();
  const all = await obtainTokens(person, await register(server), { scope: metadata.scopes_supported.join(' ') });
  assert.ok((await names(all.access_token)).includes('revoke_my_grant'));
});

test('the resource metadata is byte-equal to the URL that people paste', async (t) => {
  const server = await Server.start(t);
  const metadata = await resourceMetadata(server);
  assert.equal(metadata.resource, `${server.url}/mcp`);
  assert.deepEqual(metadata.authorization_servers, [server.url]);
  assert.ok(!metadata.scopes_supported.includes('offline_access'));
});
