// The conformance suite of the protocol's authors against the MCP endpoint, in the build that has
// the tools it calls, through a proxy that signs it in. What is not offered at all stands with its
// reason in tests/conformance/baseline.yml; an entry that is no longer true fails.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { builtBeside, Server } from './harness.mjs';
import { mcpRequest, obtainTokens, register } from './oauth.mjs';
import { bearerProxy } from './proxy.mjs';
import { runSuite } from './suite.mjs';

/** The build that has the tools which the suite calls. */
const BINARY = builtBeside('keystead-conformance');
const BASELINES = path.join(path.dirname(new URL(import.meta.url).pathname), '../conformance');

/** Each suite, what it is asked to run, its baseline, and how many scenarios that are at least. */
const RUNS = [
  ['@modelcontextprotocol/conformance', ['--requirements', '2026-07-28'], 'baseline.yml', 37],
  ['@modelcontextprotocol/conformance', ['--requirements', '2025-11-25'], 'baseline-legacy.yml', 30],
  ['conformance-0.1', ['--suite', 'active'], 'baseline-legacy.yml', 30],
];

/** What failed, and why, a line each. */
const failures = (checked) =>
  Object.entries(checked)
    .flatMap(([directory, checks]) => checks.map((check) => ({ directory, ...check })))
    .filter(({ status }) => status === 'FAILURE')
    .map(({ directory, id, errorMessage }) => `FAILURE ${directory} ${id}: ${errorMessage}`)
    .join('\n');

for (const [suite, selection, baseline, least] of RUNS) {
  test(`${suite} ${selection.join(' ')}: nothing fails but what is not offered`, async (t) => {
    assert.ok(existsSync(BINARY), `${BINARY} is missing: run tests/run, which builds it`);
    const server = await Server.start(t, { binary: BINARY });
    const { access_token: token } = await obtainTokens(await server.person(), await register(server));
    const url = `${await bearerProxy(t, server, token)}/mcp`;
    const args = ['server', '--url', url, ...selection, '--expected-failures', path.join(BASELINES, baseline)];
    const { code, checked, output } = await runSuite(suite, args);
    assert.equal(code, 0, `${failures(checked)}\n${output}`);
    assert.ok(Object.keys(checked).length >= least, `expected at least ${least} scenarios:\n${output}`);
  });
}

test('the product has none of the tools of the suite', async (t) => {
  const server = await Server.start(t);
  const { access_token: token } = await obtainTokens(await server.person(), await register(server));
  const { result } = await (await mcpRequest(server, token, 'tools/list')).json();
  assert.ok(result.tools.length > 0);
  assert.deepEqual(result.tools.filter(({ name }) => /^test_|^json_schema/.test(name)), []);
});
