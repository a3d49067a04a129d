// What a client of the crash campaign has, what it was told of it, and what must hold of that.
//
// Every thing belongs to one caller, and a caller does one thing at a time. So when the server dies,
// at most one request of each caller is unanswered: its thing is in doubt. What was asked has then
// happened or it has not; `settle` finds out which, and everything has to agree with it. `hold` says
// what must be so of a thing that is in no doubt.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

/** Clock readings are whole milliseconds, so that two of them may be one off. */
const CLOCK_MS = 2;

/** The parts of a request with a body of JSON. */
export const json = (method, value, headers = {}) => ({
  method,
  ...(value !== undefined && { body: JSON.stringify(value) }),
  headers: { ...(value !== undefined && { 'content-type': 'application/json' }), ...headers },
});

/** One request of any kind: its status and its body, parsed if it is JSON. */
export async function request(url, init, via = { fetch }) {
  const response = await via.fetch(url, init);
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json');
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
}

/** A name that nothing else has. */
export const freshName = (kind) => `${kind} ${randomBytes(6).toString('hex')}`;

export function expectStatus(answer, expected, what) {
  assert.equal(answer.status, expected, `${what}: ${JSON.stringify(answer.body)}`);
  return answer;
}

export function expectRefused(answer, what) {
  assert.deepEqual([answer.status, answer.body.error], [400, 'invalid_grant'], `${what}: ${JSON.stringify(answer.body)}`);
}

let things = 0;

/** What all things have in common. */
export class Thing {
  /** What the journal calls it. */
  id = `${this.constructor.name} ${++things}`;
  /** What was asked and not answered, if anything. */
  doubt = undefined;

  /** Asks for something that changes nothing that has to be remembered. */
  ask(wire, what, send) {
    return wire.ask(what, send, this.id);
  }

  /** Asks for a change: until the answer is there, it has happened or it has not. */
  async change(wire, what, send) {
    this.doubt = { what, asked: Date.now() };
    const answer = await this.ask(wire, what, send);
    this.doubt = undefined;
    return answer;
  }

  /** Ends the doubt: whether what was asked has happened. `undefined` where it cannot be told. */
  async settle(wire) {
    const { what, asked } = this.doubt;
    this.doubt = undefined;
    return this.settled[what].call(this, wire, asked);
  }
}

/** A time that begins between two instants and lasts `milliseconds`. */
export class Span {
  constructor({ asked, answered }, milliseconds) {
    this.surely = asked + milliseconds - CLOCK_MS;
    this.over = answered + milliseconds + CLOCK_MS;
  }

  /** Whether it lasted all through `answer`; `undefined` if it ended meanwhile. */
  covers({ asked, answered }) {
    if (answered < this.surely) return true;
    return asked > this.over ? false : undefined;
  }
}

/** Whether all of `claims` hold: `false` if one surely does not. */
export const all = (...claims) => (claims.includes(false) ? false : claims.includes(undefined) ? undefined : true);
