// The client of rmcp, which Rust hosts are made with: tests/rmcp, a program of a crate of its own.

import { test } from 'node:test';
import { builtBeside, Server } from './harness.mjs';
import { runWithPerson } from './scripted.mjs';

test('the client of rmcp signs in, renews its token in a session and asks for what was left out', async (t) => {
  const server = await Server.start(t, { config: '[token]\naccess_ttl = "2s"\n' });
  await runWithPerson(builtBeside('keystead-rmcp-client'), [server.url], await server.person('ada'), { withoutAtFirst: ['grants:write'] });
});
