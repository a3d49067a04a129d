// kill -9 and everything else that interrupts a server, under many callers: what was answered holds,
// what was spent stays spent. (CVE-2026-9802: after a restart rotated tokens were valid again.)
//
// `tests/crash` runs the same for as long as one likes.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { campaigns } from './crash_campaign.mjs';

const { KEYSTEAD_CRASH_SEED, KEYSTEAD_CRASH_SECONDS } = process.env;
/** What even the slowest machine gets to: a campaign without it has tested nothing. */
const EXPECTED = [
  'interruptions',
  'starts killed',
  'sweeps killed',
  'cut, had not happened',
  'tokens active',
  'tokens ended',
  'refresh tokens active',
  'refresh tokens ended',
  'rotated tokens refused',
  'spent codes refused',
  'ended families refused',
  'clients there',
  'secrets there',
  'users as answered',
];

test('kill -9 loses no answered token and revives no spent one', { timeout: Infinity }, async (t) => {
  const seed = Number(KEYSTEAD_CRASH_SEED ?? randomInt(2 ** 31));
  const milliseconds = Number(KEYSTEAD_CRASH_SECONDS ?? 0) * 1000;
  const say = (line) => (milliseconds > 0 ? console.log(line) : t.diagnostic(line));
  const totals = await campaigns(t, { seed, milliseconds, say });
  const missing = EXPECTED.filter((what) => !totals.has(what));
  assert.deepEqual(missing, [], `the campaign tested too little: ${JSON.stringify(Object.fromEntries(totals))}`);
});
