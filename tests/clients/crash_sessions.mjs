// The browser sessions of the crash campaign.

import assert from 'node:assert/strict';
import { expectStatus, request, Thing } from './crash_things.mjs';

/** A browser of its own, signed in for this. */
export class BrowserSession extends Thing {
  live = true;

  static async open(wire) {
    const session = new BrowserSession();
    session.person = wire.anotherBrowser();
    const { page } = await wire.ask('sign in', async () => ({ page: await session.person.signIn() }));
    assert.equal(page.status, 200, page.text);
    return session;
  }

  async close(wire) {
    const { page } = await this.ask(wire, 'look at the account', async () => ({ page: await this.person.open('/account') }));
    const form = page.form('form[action="/sign-out"] button');
    assert.ok(form, `expected a page to sign out from, found ${page.status}`);
    // With these it is tried afterwards; the browser itself throws them away.
    this.cookies = this.person.cookies;
    expectStatus(await this.change(wire, 'sign out', () => request(...this.person.posted(page, form), this.person)), 303, 'sign out');
    this.live = false;
    this.person.cookies = this.cookies;
  }

  async opens(wire) {
    const { status } = await this.ask(wire, 'open the account', () => request(new URL('/account', wire.server.url), {}, this.person));
    assert.ok([200, 303].includes(status), `expected the account or the way to sign in, found ${status}`);
    return status === 200;
  }

  settled = {
    async 'sign out'(wire) {
      this.person.cookies = this.cookies;
      this.live = await this.opens(wire);
      return !this.live;
    },
  };

  async hold(wire) {
    assert.equal(await this.opens(wire), this.live, this.live ? 'a session is gone' : 'a session that was closed is open');
    wire.held(this.live ? 'sessions open' : 'sessions closed');
  }
}
