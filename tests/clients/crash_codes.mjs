// What tokens are had for: authorization codes and the codes of devices, as the crash campaign knows
// them.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { expectRefused, expectStatus, request, Span, Thing } from './crash_things.mjs';
import { Family } from './crash_tokens.mjs';
import { obtainCode, tokenRequest } from './oauth.mjs';

export const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
/** What a device is told while nobody has answered. */
const WAITING = ['authorization_pending', 'slow_down'];

/** An authorization code that was answered. */
export class Code extends Thing {
  spent = false;
  /** Whether the grant has ended under which it was issued. */
  ended = false;
  family = undefined;

  static async obtain(wire, app) {
    const answer = await wire.ask('authorize', async () => ({ fields: await obtainCode(wire.person, app, { scope: 'user:read' }) }));
    return new Code(wire, app, answer);
  }

  constructor(wire, app, answer) {
    super();
    this.app = app;
    this.fields = answer.fields;
    this.span = new Span(answer, wire.lifetimes.codeMs);
  }

  present(wire, more = {}) {
    return tokenRequest(wire.server, this.app.form({ ...this.fields, ...more }));
  }

  async exchange(wire) {
    this.judge(wire, await this.change(wire, 'exchange', () => this.present(wire)));
  }

  judge(wire, answer) {
    this.spent = true;
    if (answer.status === 200) {
      assert.notEqual(this.works(answer), false, 'a code that had ended gave tokens');
      this.family = new Family(this.app);
      this.family.take(wire, answer);
      this.app.families.push(this.family);
      return;
    }
    expectRefused(answer, 'exchange');
    assert.notEqual(this.works(answer), true, 'an answered code is gone');
  }

  works(answer) {
    return !this.ended && this.span.covers(answer);
  }

  /** Presents it with a wrong verifier: that spends it. */
  async spoil(wire) {
    const wrong = { code_verifier: randomBytes(32).toString('base64url') };
    expectRefused(await this.change(wire, 'spoil', () => this.present(wire, wrong)), 'a wrong verifier');
    this.spent = true;
  }

  /** Presents it once more: that ends what it gave. */
  async replay(wire) {
    const thing = this.family ?? this;
    expectRefused(await thing.change(wire, 'end', () => this.present(wire)), 'a spent code');
    if (this.family) this.family.live = false;
    wire.held('spent codes refused');
  }

  settled = {
    exchange: (wire) => this.settleBy(wire),
    spoil: (wire) => this.settleBy(wire),
    end: () => undefined,
  };

  /** It is spent or it is not: it is found out by using it. */
  async settleBy(wire) {
    const answer = await this.ask(wire, 'exchange again', () => this.present(wire));
    if (answer.status === 200) this.judge(wire, answer);
    else expectRefused(answer, 'exchange again');
    this.spent = true;
    return this.works(answer) === true ? answer.status !== 200 : undefined;
  }
}

/** The codes of a device, and how far it is. */
export class Device extends Thing {
  stage = 'waiting';
  /** Whether its app has changed since: then nobody may allow what they would not recognise. */
  stale = false;

  static async begin(wire, app) {
    const body = new URLSearchParams(app.form({ scope: 'user:read' }));
    const begun = await wire.ask('device', () => request(`${wire.server.url}/oauth2/device_authorization`, { method: 'POST', body }));
    return new Device(app, expectStatus(begun, 200, 'device').body);
  }

  constructor(app, codes) {
    super();
    this.app = app;
    this.codes = codes;
  }

  async answer(wire, decision) {
    const { person } = wire;
    const page = await this.ask(wire, 'open the code', async () => ({ page: await person.consentPage(this.codes.verification_uri_complete) }));
    const asking = await this.ask(wire, 'look at the device', async () => ({ page: await person.submit(page.page, page.page.form('[name=user_code]')) }));
    const form = asking.page.form('[name=decision]');
    assert.ok(form, `expected to be asked about the device, found ${asking.page.status}:\n${asking.page.text}`);
    this.wanted = decision === 'allow' ? 'allowed' : 'denied';
    const answered = await this.change(wire, 'answer', () => request(...person.posted(asking.page, form, { decision }), person));
    expectStatus(answered, 303, 'answering a device');
    this.stage = this.wanted;
  }

  present(wire) {
    return tokenRequest(wire.server, this.app.form({ grant_type: DEVICE_GRANT, device_code: this.codes.device_code }));
  }

  async poll(wire) {
    this.judge(wire, await this.change(wire, 'poll', () => this.present(wire)));
  }

  judge(wire, answer) {
    const expected = { waiting: WAITING, allowed: [undefined], denied: ['access_denied'], exchanged: ['invalid_grant'], over: ['invalid_grant'] };
    assert.ok(expected[this.stage].includes(answer.body.error), `a device that is ${this.stage}: ${JSON.stringify(answer.body)}`);
    if (this.stage === 'exchanged') {
      if (this.family) this.family.live = false;
      wire.held('spent device codes refused');
    }
    if (this.stage !== 'allowed') return;
    this.stage = 'exchanged';
    this.family = new Family(this.app);
    this.family.take(wire, answer);
    this.app.families.push(this.family);
  }

  settled = {
    async answer(wire) {
      const answer = await this.ask(wire, 'poll', () => this.present(wire));
      const happened = !WAITING.includes(answer.body.error);
      if (happened) this.stage = this.wanted;
      this.judge(wire, answer);
      return happened;
    },
    async poll(wire) {
      const answer = await this.ask(wire, 'poll again', () => this.present(wire));
      const happened = this.stage === 'allowed' && answer.status !== 200;
      if (happened) this.stage = 'exchanged';
      this.judge(wire, answer);
      return happened;
    },
  };
}
