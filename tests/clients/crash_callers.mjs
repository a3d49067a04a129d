// The callers of the crash campaign: sixty-odd programs with a person behind them, each with things
// of its own, and one administrator at the command line.

import assert from 'node:assert/strict';
import { App, OwnApp } from './crash_apps.mjs';
import { Code, Device } from './crash_codes.mjs';
import { BrowserSession } from './crash_sessions.mjs';
import { request } from './crash_things.mjs';
import { keystead, Person } from './harness.mjs';

/** Things of a kind that a caller has at once. */
const APPS_MAX = 2;
const OWN_APPS_MAX = 1;
const SESSIONS_MAX = 1;
const CODES_MAX = 3;
const DEVICES_MAX = 2;
const SECRETS_MAX = 4;
const USERS_MAX = 6;

/** The answer did not come: the server was gone. */
export class Cut extends Error {}

const isCut = (fault) => fault instanceof TypeError && ['fetch failed', 'terminated'].includes(fault.message);

/** How often something is done, what it can be done with, and how. */
const OPERATIONS = [
  { weight: 3, of: (caller) => (caller.live(caller.apps).length < APPS_MAX ? [caller] : []), act: async (caller) => caller.apps.push(await App.register(caller)) },
  { weight: 2, of: (caller) => caller.live(caller.apps), act: (app, wire) => app.rename(wire) },
  { weight: 0.3, of: (caller) => caller.live(caller.apps), act: (app, wire) => app.remove(wire) },
  { weight: 0.5, of: (caller) => caller.live(caller.apps), act: (app, wire) => app.takeBack(wire) },

  { weight: 6, of: (caller) => caller.live(caller.apps).filter(({ codes }) => codes.filter(({ spent }) => !spent).length < CODES_MAX), act: async (app, wire) => app.codes.push(await Code.obtain(wire, app)) },
  { weight: 10, of: (caller) => caller.codes.filter(({ spent }) => !spent), act: (code, wire) => code.exchange(wire) },
  { weight: 0.5, of: (caller) => caller.codes.filter(({ spent, ended }) => !spent && !ended), act: (code, wire) => code.spoil(wire) },
  { weight: 0.5, of: (caller) => caller.codes.filter(({ spent }) => spent), act: (code, wire) => code.replay(wire) },

  { weight: 20, of: (caller) => caller.refreshable(1), act: (family, wire) => family.rotate(wire) },
  { weight: 3, of: (caller) => caller.refreshable(2), act: (family, wire) => family.retry(wire) },
  { weight: 1, of: (caller) => caller.refreshable(3), act: (family, wire) => family.replay(wire) },
  { weight: 1, of: (caller) => caller.refreshable(1), act: (family, wire) => family.revoke(wire) },
  { weight: 2, of: (caller) => caller.live(caller.families), act: (family, wire) => family.revokeAccess(wire) },
  { weight: 6, of: (caller) => caller.families, act: (family, wire) => family.look(wire, wire.random.pick(family.access)) },

  { weight: 2, of: (caller) => caller.live(caller.apps).filter(({ devices }) => devices.filter(({ stage, stale }) => stage === 'waiting' && !stale).length < DEVICES_MAX), act: async (app, wire) => app.devices.push(await Device.begin(wire, app)) },
  { weight: 3, of: (caller) => caller.devices.filter(({ stage, stale }) => stage === 'waiting' && !stale), act: (device, wire) => device.answer(wire, wire.random.pick(['allow', 'allow', 'deny'])) },
  { weight: 4, of: (caller) => caller.devices.filter(({ stage }) => stage === 'allowed'), act: (device, wire) => device.poll(wire) },
  { weight: 0.5, of: (caller) => caller.devices, act: (device, wire) => device.poll(wire) },

  { weight: 2, of: (caller) => (caller.live(caller.ownApps).length < OWN_APPS_MAX ? [caller] : []), act: (caller) => caller.createOwnApp() },
  { weight: 1, of: (caller) => caller.live(caller.ownApps), act: (app, wire) => app.rename(wire) },
  { weight: 0.2, of: (caller) => caller.live(caller.ownApps), act: (app, wire) => app.remove(wire) },
  { weight: 1, of: (caller) => caller.live(caller.ownApps).filter(({ secrets }) => secrets.length < SECRETS_MAX), act: (app, wire) => app.addSecret(wire) },
  { weight: 0.5, of: (caller) => caller.live(caller.ownApps).filter(({ liveSecrets }) => liveSecrets.length > 1), act: (app, wire) => app.removeSecret(wire) },
  { weight: 6, of: (caller) => caller.live(caller.ownApps).filter(({ liveSecrets }) => liveSecrets.length > 0), act: (app, wire) => app.issue(wire) },

  { weight: 0.2, of: (caller) => (caller.live(caller.sessions).length < SESSIONS_MAX ? [caller] : []), act: async (caller) => caller.sessions.push(await BrowserSession.open(caller)) },
  { weight: 0.5, of: (caller) => caller.live(caller.sessions), act: (session, wire) => session.close(wire) },
];

/** What every caller has in common: its journal, its work, and what it finds after an interruption. */
class Worker {
  constructor(campaign, name) {
    this.campaign = campaign;
    this.name = name;
    this.random = campaign.random.fork();
  }

  get server() {
    return this.campaign.server;
  }

  get lifetimes() {
    return this.campaign.lifetimes;
  }

  /** Does one thing after the other until the campaign says that it is enough, or the server is gone. */
  async work() {
    try {
      while (!this.campaign.enough) await this.step();
    } catch (fault) {
      // Nothing may go missing before the server is made to go.
      if (!(fault instanceof Cut) || !this.campaign.cutting) throw fault;
    }
  }

  /** Sends something, and keeps in the journal what came of it. */
  async ask(what, send, about) {
    const asked = Date.now();
    const note = { asked, caller: this.name, about, what };
    try {
      const answer = { ...(await send()), asked, answered: Date.now() };
      const { status, body, fields } = answer;
      this.campaign.write({ ...note, answered: answer.answered, status, body, fields });
      assert.ok(!(status >= 500), `${what}: ${status} ${JSON.stringify(body)}`);
      return answer;
    } catch (fault) {
      this.campaign.write({ ...note, cut: String(fault.cause ?? fault) });
      throw isCut(fault) ? new Cut(`${this.name}, ${what}: no answer`, { cause: fault }) : fault;
    }
  }

  held(what) {
    this.campaign.count(what);
  }

  /** Ends every doubt, then looks whether what was answered is so: at all of it in the end, at half of it on the way. */
  async check() {
    for (const thing of this.things.filter(({ doubt }) => doubt)) {
      const { what } = thing.doubt;
      const happened = await thing.settle(this);
      this.campaign.settled(thing, what, happened);
    }
    const looked = this.campaign.last ? this.lasting : this.lasting.filter(() => this.random.below(2) === 0);
    for (const thing of looked) await thing.hold(this);
  }
}

/** A program with a person behind it. */
export class Caller extends Worker {
  apps = [];
  ownApps = [];
  sessions = [];

  constructor(campaign, name, { person, csrfToken }) {
    super(campaign, name);
    this.person = person;
    this.csrfToken = csrfToken;
  }

  live(things) {
    return things.filter(({ live }) => live);
  }

  get families() {
    return [...this.apps, ...this.live(this.ownApps)].flatMap(({ families }) => families);
  }

  get codes() {
    return this.apps.flatMap(({ codes }) => codes);
  }

  get devices() {
    return this.apps.flatMap(({ devices }) => devices);
  }

  /** Families that live, with at least so many generations of refresh tokens. */
  refreshable(generations) {
    return this.live(this.families).filter(({ refresh }) => refresh.length >= generations);
  }

  /** Everything that can be in doubt. */
  get things() {
    return [...this.apps, ...this.ownApps, ...this.families, ...this.codes, ...this.devices, ...this.sessions];
  }

  /** Everything that is looked at; families are, with their app. */
  get lasting() {
    return [...this.apps, ...this.ownApps, ...this.sessions];
  }

  /** The management API, with the session of the person. */
  api(method, path, value) {
    const headers = { 'x-csrf-token': this.csrfToken, ...(value && { 'content-type': 'application/json' }) };
    return request(new URL(path, this.server.url), { method, headers, ...(value && { body: JSON.stringify(value) }) }, this.person);
  }

  anotherBrowser() {
    return new Person(this.server, this.person.name, this.person.password);
  }

  async createOwnApp() {
    const app = new OwnApp();
    this.ownApps.push(app);
    await app.create(this);
  }

  async step() {
    const possible = OPERATIONS.map(({ weight, of, act }) => ({ weight, act, found: of(this) })).filter(({ found }) => found.length > 0);
    const { act, found } = this.random.weighted(possible);
    await act(this.random.pick(found), this);
    this.campaign.answer();
  }

  async check() {
    await super.check();
    await this.prove();
    const isKept = (thing) => thing.live || this.random.below(2) === 0;
    [this.apps, this.ownApps, this.sessions] = [this.apps, this.ownApps, this.sessions].map((things) => things.filter(isKept));
  }

  /** What can be shown only by trying, and at the price of what is tried: one of each. */
  async prove() {
    for (const family of this.random.some(this.families, 1)) await family.prove(this);
    for (const code of this.random.some(this.codes.filter(({ spent }) => spent), 2)) await code.replay(this);
    for (const code of this.random.some(this.codes.filter(({ ended, spent }) => ended && !spent), 1)) await code.exchange(this);
    for (const device of this.random.some(this.devices.filter(({ stage }) => stage !== 'waiting'), 1)) await device.poll(this);
    for (const app of this.apps) {
      // What was tried has said what it can say.
      app.codes = app.codes.filter(({ spent }) => !spent || this.random.below(2) === 0);
      app.devices = app.devices.filter(({ stage }) => stage !== 'over');
    }
  }
}

/** Somebody at the command line, who makes users and takes them away. */
export class Administrator extends Worker {
  /** What is known of each user: `active`, `disabled` or `removed`. */
  users = new Map();
  /** What was asked and not answered, if anything. */
  doubt = undefined;

  async run(name, command, wanted, input) {
    this.doubt = { name, wanted };
    const args = ['user', command, name, ...(input ? ['--password-stdin'] : []), ...(command === 'remove' ? ['--yes'] : []), '--data', this.campaign.data];
    const { code, stderr } = await keystead(args, { input });
    this.campaign.write({ asked: Date.now(), caller: this.name, what: `user ${command} ${name}`, status: code, body: stderr });
    if (code !== 0) throw new Cut(`user ${command}: ${stderr}`);
    this.users.set(name, wanted);
    this.doubt = undefined;
    this.campaign.answer();
  }

  async step() {
    const known = (state) => [...this.users].filter(([, is]) => is === state).map(([name]) => name);
    const [enabled, disabled] = [known('active'), known('disabled')];
    const isFull = enabled.length + disabled.length >= USERS_MAX;
    const possible = [
      { weight: isFull ? 0 : 3, act: () => this.run(`user-${this.users.size}`, 'add', 'active', 'correct horse battery staple\n') },
      { weight: enabled.length && 2, act: () => this.run(this.random.pick(enabled), 'disable', 'disabled') },
      { weight: disabled.length && 2, act: () => this.run(this.random.pick(disabled), 'enable', 'active') },
      { weight: isFull ? 2 : 0, act: () => this.run(this.random.pick([...enabled, ...disabled]), 'remove', 'removed') },
    ];
    await this.random.weighted(possible.filter(({ weight }) => weight > 0)).act();
  }

  async check() {
    const { code, stdout, stderr } = await keystead(['user', 'list', '--json', '--data', this.campaign.data]);
    assert.equal(code, 0, stderr);
    const listed = new Map(JSON.parse(stdout).users.map((user) => [user.name, user.state]));
    const is = (name) => listed.get(name) ?? 'removed';
    if (this.doubt) {
      const { name, wanted } = this.doubt;
      const was = this.users.get(name) ?? 'removed';
      assert.ok([was, wanted].includes(is(name)), `${name} was ${was}, was to be ${wanted}, and is ${is(name)}`);
      this.users.set(name, is(name));
      this.campaign.settled(this, 'user', is(name) === wanted);
      this.doubt = undefined;
    }
    for (const [name, state] of this.users) {
      assert.equal(is(name), state, `${name} is not what was answered`);
      this.held('users as answered');
    }
  }
}
