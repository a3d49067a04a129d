// kill -9 in the middle of a stream of token requests: what was answered holds, what was spent stays
// spent. (CVE-2026-9802: after a restart rotated tokens were valid again.)

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Server } from './harness.mjs';
import { obtainCode, refreshForm, register, statusOf, tokenRequest } from './oauth.mjs';

const ROUNDS = 4;
const WORKERS = 16;
/** Codes that each worker may exchange in a round. */
const CODES = 3;
/** Refreshes after each exchange. */
const REFRESHES = 6;
/** Answers of a round in which nothing is cut off. */
const ANSWERS = WORKERS * CODES * (REFRESHES + 1);
/** The server is killed somewhere between these shares of them: by count, so that a fast one is killed in the middle too. */
const KILLED_AT = [0.05, 0.75];

/** One code and everything that was answered for it. */
class Chain {
  /** Tokens in the order in which they were answered. */
  tokens = [];

  constructor(client, fields) {
    this.client = client;
    this.fields = fields;
  }

  /** Exchanges the code, then refreshes; notes each answer as soon as it is whole. */
  async run(server, answered) {
    this.begun = true;
    this.keep(await tokenRequest(server, this.fields));
    answered();
    for (let count = 0; count < REFRESHES; count++) {
      this.keep(await tokenRequest(server, refreshForm(this.client, this.tokens.at(-1).refresh_token)));
      answered();
    }
  }

  keep({ status, body }) {
    assert.equal(status, 200, JSON.stringify(body));
    this.tokens.push(body);
  }

  /** Whether the code is known to be spent. */
  get spent() {
    return this.tokens.length > 0;
  }
}

/** Runs all `chains`, and kills the server when `answers` answers have come. */
function stream(server, chains, answers) {
  const queue = [...chains];
  let count = 0;
  const answered = () => ++count === answers && server.kill();
  const worker = async () => {
    for (let chain = queue.shift(); chain; chain = queue.shift()) {
      try {
        await chain.run(server, answered);
      } catch (fault) {
        // A connection that the kill broke is what is being tested; every other fault is not.
        if (count < answers || !['fetch failed', 'terminated'].includes(fault.message)) throw fault;
        return;
      }
    }
  };
  return Promise.all(Array.from({ length: WORKERS }, worker));
}

/** Does `step` for each of `items`, some at a time. */
async function each(items, step) {
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await step(item);
  };
  await Promise.all(Array.from({ length: WORKERS }, worker));
}

async function refused(server, fields, why) {
  const { status, body } = await tokenRequest(server, fields);
  assert.deepEqual([status, body.error], [400, 'invalid_grant'], why);
}

/** What must hold of `chains` on the server that came back. */
async function check(server, chains) {
  const spent = chains.filter((chain) => chain.spent);
  const answered = spent.flatMap((chain) => chain.tokens);
  await each(answered, async ({ access_token }) => {
    assert.equal(await statusOf(server, access_token), 200, 'an answered access token is gone');
  });
  await each(spent, async (chain) => {
    const { status, body } = await tokenRequest(server, refreshForm(chain.client, chain.tokens.at(-1).refresh_token));
    assert.equal(status, 200, `an answered refresh token is gone: ${JSON.stringify(body)}`);
    chain.tokens.push(body);
  });
  const rotated = spent.filter((chain) => chain.tokens.length > 2);
  await each(rotated, async (chain) => {
    await refused(server, refreshForm(chain.client, chain.tokens.at(-3).refresh_token), 'a rotated refresh token came back');
    await refused(server, refreshForm(chain.client, chain.tokens.at(-1).refresh_token), 'a replay left its family alive');
  });
  await each(spent, async (chain) => {
    await refused(server, chain.fields, 'a spent code came back');
    assert.equal(await statusOf(server, chain.tokens.at(-1).access_token), 401, 'a replay left its tokens alive');
  });
  // A request that was never answered may have counted or not; it is never a fault of the server.
  await each(chains.filter((chain) => !chain.spent), async (chain) => {
    const { status, body } = await tokenRequest(server, chain.fields);
    assert.ok(status === 200 || body.error === 'invalid_grant', `${status} ${JSON.stringify(body)}`);
    if (!chain.begun) assert.equal(status, 200, 'a code that nobody used is gone');
  });
  return { answered: answered.length, rotated: rotated.length };
}

test('kill -9 loses no answered token and revives no spent one', async (t) => {
  const config = '[token]\ncode_ttl = "10m"\nreplay_window = "2m"\n';
  let server = await Server.start(t, { config });
  const { data, listen } = server;
  const person = await server.person();
  const client = await register(server);
  const totals = { answered: 0, rotated: 0, cut: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    const chains = [];
    for (let count = 0; count < WORKERS * CODES; count++) {
      chains.push(new Chain(client, await obtainCode(person, client)));
    }
    const [from, to] = KILLED_AT;
    await stream(server, chains, Math.round(ANSWERS * (from + Math.random() * (to - from))));
    await server.kill();
    totals.cut += chains.filter((chain) => chain.tokens.length < REFRESHES + 1).length;
    server = await Server.start(t, { data, listen, config });
    person.server = server;
    const { answered, rotated } = await check(server, chains);
    totals.answered += answered;
    totals.rotated += rotated;
  }
  t.diagnostic(JSON.stringify(totals));
  assert.ok(totals.answered > 0 && totals.rotated > 0 && totals.cut > 0, `the kills tested nothing: ${JSON.stringify(totals)}`);
  await server.stop();
});
