// The tokens of one family, as the crash campaign knows them.

import assert from 'node:assert/strict';
import { all, expectRefused, expectStatus, Span, Thing } from './crash_things.mjs';
import { statusOf, tokenRequest } from './oauth.mjs';

/** Of each family so many access tokens are looked at: the newest. */
const TOKENS_LOOKED_AT = 2;
/** Generations of refresh tokens that are looked at: the newest. */
const GENERATIONS_LOOKED_AT = 3;
/** How long an answer takes at the most. */
const ANSWER_MS_MAX = 10_000;

/** The tokens that one code, one device or one request of a client's own began. */
export class Family extends Thing {
  live = true;
  /** Access tokens: `{ value, live, span }`. */
  access = [];
  /** Refresh tokens in the order of their generations. */
  refresh = [];
  /** How long the newest of them may lie idle. */
  idle = undefined;

  constructor(app, secret) {
    super();
    this.app = app;
    this.secret = secret;
  }

  /** Keeps what was answered. `again` is true for an answer that repeats a successor. */
  take(wire, answer, { again = false } = {}) {
    const { access_token: value, refresh_token: refresh, expires_in: seconds } = answer.body;
    this.access.push({ value, live: true, span: new Span(answer, seconds * 1000) });
    if (refresh === undefined) return;
    if (again) {
      assert.equal(refresh, this.refresh.at(-1), 'a retry within the window got another successor');
      return;
    }
    assert.ok(!this.refresh.includes(refresh), 'a refresh token was given twice');
    this.refresh.push(refresh);
    this.idle = new Span(answer, wire.lifetimes.idleMs);
    this.rotated = answer;
  }

  /** Whether its refresh token works at the time of `answer`. */
  refreshes(answer) {
    return this.live && (this.idle === undefined || this.idle.covers(answer));
  }

  /** Whether an access token works; one that outlives its family may be gone with it. */
  works(token, answer) {
    const ended = !(this.live && token.live && this.app.live);
    return all(!ended, token.span.covers(answer), this.refreshes(answer) || undefined);
  }

  token(wire, fields) {
    return tokenRequest(wire.server, this.app.form(fields));
  }

  present(wire, refreshToken) {
    return this.token(wire, { grant_type: 'refresh_token', refresh_token: refreshToken });
  }

  async rotate(wire) {
    const answer = await this.change(wire, 'refresh', () => this.present(wire, this.refresh.at(-1)));
    this.judgeRotation(wire, answer);
  }

  judgeRotation(wire, answer) {
    if (answer.status === 200) {
      assert.notEqual(this.refreshes(answer), false, 'a refresh token that had ended gave tokens');
      return this.take(wire, answer);
    }
    expectRefused(answer, 'refresh');
    assert.notEqual(this.refreshes(answer), true, 'an answered refresh token is gone');
    this.refused(answer);
  }

  /** Notes that it gives nothing more. One that lay idle too long may leave access tokens that still work. */
  refused(answer) {
    if (this.live && this.refreshes(answer) !== true) this.forget();
    this.live = false;
  }

  /** Presents the direct predecessor again, as a client does whose answer got lost. */
  async retry(wire) {
    const window = new Span(this.rotated, wire.lifetimes.windowMs);
    const surely = window.covers({ asked: Date.now(), answered: Date.now() + ANSWER_MS_MAX });
    const answer = await this.change(wire, surely ? 'retry' : 'end', () => this.present(wire, this.refresh.at(-2)));
    if (answer.status === 200) {
      assert.notEqual(window.covers(answer), false, 'a rotated refresh token came back');
      return this.take(wire, answer, { again: true });
    }
    expectRefused(answer, 'the predecessor');
    assert.notEqual(all(window.covers(answer), this.refreshes(answer)), true, 'a retry within the window was refused');
    this.refused(answer);
  }

  /** Presents a refresh token of two generations ago: that ends everything. */
  async replay(wire) {
    const old = this.refresh[wire.random.below(this.refresh.length - 2)];
    expectRefused(await this.change(wire, 'end', () => this.present(wire, old)), 'a rotated refresh token');
    this.live = false;
  }

  async revoke(wire) {
    expectStatus(await this.change(wire, 'end', () => this.app.revoke(wire, wire.random.pick(this.refresh))), 200, 'revoke');
    this.live = false;
  }

  async revokeAccess(wire) {
    const token = wire.random.pick(this.access);
    this.revoking = token;
    expectStatus(await this.change(wire, 'revoke access', () => this.app.revoke(wire, token.value)), 200, 'revoke');
    token.live = false;
  }

  settled = {
    async refresh(wire, asked) {
      const token = this.refresh.at(-1);
      const found = await this.app.introspect(wire, token);
      const answer = await this.ask(wire, 'refresh again', () => this.present(wire, token));
      // If it has happened, then at any time since it was asked.
      const since = { asked, answered: answer.answered };
      const window = new Span(since, wire.lifetimes.windowMs).covers(answer);
      const lasted = this.refreshes(answer);
      if (answer.status === 200) {
        assert.notEqual(lasted, false, 'a refresh token that had ended gave tokens');
        assert.ok(found?.body.active !== false || lasted !== true || window !== false, 'a rotated refresh token came back');
        this.take(wire, { ...answer, asked });
        return lasted && found && !found.body.active;
      }
      expectRefused(answer, 'refresh again');
      assert.ok(lasted !== true || window !== true, 'neither the refresh token nor its successor can be had');
      assert.ok(lasted !== true || found?.body.active !== true, 'an active refresh token was refused');
      this.refused(answer);
      return lasted || undefined;
    },
    retry() {
      return undefined;
    },
    /** Ended or not, but all of it. */
    async end(wire) {
      const lives = await this.lives(wire);
      if (lives === undefined) this.forget();
      this.live = lives === true;
      return lives === undefined ? undefined : !lives;
    },
    async 'revoke access'(wire) {
      const { active, expected } = await this.question(wire, this.revoking);
      if (expected === undefined) return undefined;
      this.revoking.live = active;
      return expected && !active;
    },
  };

  forget() {
    this.app.families = this.app.families.filter((family) => family !== this);
  }

  /** Whether it lives, where that is not known: all of its tokens have to say the same. */
  async lives(wire) {
    const told = [];
    for (const token of this.access.filter(({ live }) => live)) {
      const { active, expected } = await this.question(wire, token);
      if (expected === true) told.push(active);
    }
    if (this.refresh.length > 0) {
      const found = await this.app.introspect(wire, this.refresh.at(-1));
      if (found && this.refreshes(found) === true) told.push(found.body.active);
    }
    assert.ok(new Set(told).size <= 1, `a family that is half ended: ${told}`);
    return told[0];
  }

  /** What the server says of `token`, at every place that takes one, and what it has to say. */
  async question(wire, token) {
    const answers = [];
    if (!this.app.forItself) answers.push(await this.ask(wire, 'mcp', async () => ({ status: await statusOf(wire.server, token.value) })));
    const found = await this.app.introspect(wire, token.value);
    if (found) answers.push({ ...found, status: found.body.active ? 200 : 401 });
    const [{ asked }, { answered }] = [answers[0], answers.at(-1)];
    const expected = this.works(token, { asked, answered });
    if (expected !== undefined) {
      assert.equal(new Set(answers.map(({ status }) => status)).size, 1, 'introspection and the MCP endpoint disagree');
    }
    return { active: answers[0].status === 200, expected, status: answers[0].status };
  }

  async look(wire, token) {
    const { active, expected, status } = await this.question(wire, token);
    assert.ok([200, 401].includes(status), `expected 200 or 401, found ${status}`);
    if (expected === undefined) return;
    assert.equal(active, expected, expected ? 'an answered access token is gone' : 'an access token that had ended works');
    wire.held(expected ? 'tokens active' : 'tokens ended');
  }

  async hold(wire) {
    for (const token of this.access.slice(-TOKENS_LOOKED_AT)) await this.look(wire, token);
    if (this.refresh.length === 0) return;
    for (const [back, value] of [...this.refresh].reverse().slice(0, GENERATIONS_LOOKED_AT).entries()) {
      const found = await this.app.introspect(wire, value);
      if (!found) break;
      const expected = back === 0 ? all(this.refreshes(found), this.app.live) : false;
      if (expected === undefined) continue;
      assert.equal(found.body.active, expected, expected ? 'an answered refresh token is gone' : 'a refresh token that had ended is active');
      wire.held(expected ? 'refresh tokens active' : 'refresh tokens ended');
    }
  }

  /** What is tried at the price of the family. */
  async prove(wire) {
    if (this.refresh.length === 0 || !this.app.live) return;
    if (!this.live) {
      expectRefused(await this.ask(wire, 'refresh an ended family', () => this.present(wire, this.refresh.at(-1))), 'an ended family');
      return wire.held('ended families refused');
    }
    await this.rotate(wire);
    if (!this.live || this.refresh.length < 3) return;
    await this.replay(wire);
    expectRefused(await this.ask(wire, 'refresh after a replay', () => this.present(wire, this.refresh.at(-1))), 'a replay left its family alive');
    wire.held('rotated tokens refused');
  }
}
