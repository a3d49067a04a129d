// The clients of the box that a caller of the crash campaign makes, with all that is issued to them.

import assert from 'node:assert/strict';
import { DEVICE_GRANT } from './crash_codes.mjs';
import { expectStatus, freshName, json, request, Thing } from './crash_things.mjs';
import { Family } from './crash_tokens.mjs';
import { tokenRequest, WEB_CALLBACK } from './oauth.mjs';

const APPS = '/api/v2/oauth2-provider/apps';
/** Families of an app that ended and are looked at again at every check: the newest. */
const ENDED_KEPT_MAX = 1;
/** Tokens that an app got for itself and that are looked at: the newest. */
const OWN_TOKENS_LOOKED_AT = 2;

/** A client of the box that its caller made, with everything that was issued to it. */
export class App extends Thing {
  live = true;
  families = [];
  codes = [];
  devices = [];

  /** Registers a client that does every grant of a person. */
  static async register(wire) {
    const app = new App();
    app.name = freshName('app');
    app.auth = wire.random.pick(['none', 'client_secret_post']);
    const url = `${wire.server.url}/oauth2/register`;
    const { body } = expectStatus(await wire.ask('register', () => request(url, json('POST', app.metadata(app.name)))), 201, 'register');
    Object.assign(app, { client_id: body.client_id, redirect_uris: body.redirect_uris, client_secret: body.client_secret, token: body.registration_access_token, url: body.registration_client_uri });
    return app;
  }

  metadata(name) {
    return {
      client_name: name,
      redirect_uris: [WEB_CALLBACK],
      grant_types: ['authorization_code', 'refresh_token', DEVICE_GRANT],
      token_endpoint_auth_method: this.auth,
    };
  }

  /** The fields of a request of this client. */
  form(fields) {
    return { ...fields, client_id: this.client_id, ...(this.client_secret && { client_secret: this.client_secret }) };
  }

  /** What the server says of a token of this client; `undefined` for a client that may not ask. */
  async introspect(wire, token) {
    if (!this.client_secret || !this.live) return undefined;
    const body = new URLSearchParams(this.form({ token }));
    const found = await this.ask(wire, 'introspect', () => request(`${wire.server.url}/oauth2/introspect`, { method: 'POST', body }));
    return expectStatus(found, 200, 'introspect');
  }

  revoke(wire, token) {
    return request(`${wire.server.url}/oauth2/revoke`, { method: 'POST', body: new URLSearchParams(this.form({ token })) });
  }

  manage(method, value) {
    return request(this.url, json(method, value, { authorization: `Bearer ${this.token}` }));
  }

  async rename(wire) {
    this.wanted = freshName('app');
    for (const device of this.devices) device.stale = true;
    expectStatus(await this.change(wire, 'rename', () => this.manage('PUT', this.metadata(this.wanted))), 200, 'rename');
    this.name = this.wanted;
  }

  async remove(wire) {
    expectStatus(await this.change(wire, 'remove', () => this.manage('DELETE')), 204, 'unregister');
    this.end();
  }

  /** Its person takes back what they allowed to it. */
  async takeBack(wire) {
    const answer = await this.change(wire, 'take back', () => wire.api('DELETE', `/oauth2/tokens?client_id=${this.client_id}`));
    expectStatus(answer, 204, 'take back');
    this.endGrants();
  }

  end() {
    this.live = false;
    this.endGrants();
    this.codes = [];
    this.devices = [];
  }

  endGrants() {
    for (const family of this.families) family.live = false;
    for (const code of this.codes) code.ended = true;
    for (const device of this.devices) if (device.stage === 'allowed') device.stage = 'over';
  }

  settled = {
    async rename(wire) {
      const { body } = expectStatus(await this.ask(wire, 'look at an app', () => this.manage('GET')), 200, 'an app');
      assert.ok([this.name, this.wanted].includes(body.client_name), `a name that nobody gave: ${body.client_name}`);
      const happened = body.client_name === this.wanted;
      this.name = body.client_name;
      return happened;
    },
    async remove(wire) {
      const { status } = await this.ask(wire, 'look at an app', () => this.manage('GET'));
      if (status === 401) this.end();
      return status === 401;
    },
    /** Of all grants or of none: what the first family says, `hold` then expects of all. */
    async 'take back'(wire) {
      for (const family of this.families.filter(({ live }) => live)) {
        const lives = await family.lives(wire);
        if (lives === false) this.endGrants();
        if (lives !== undefined) return !lives;
      }
      // Nothing tells, so nothing is expected of what is left.
      this.families = [];
      this.codes = [];
      this.devices = [];
      return undefined;
    },
  };

  async hold(wire) {
    const { status, body } = await this.ask(wire, 'look at an app', () => this.manage('GET'));
    assert.equal(status, this.live ? 200 : 401, this.live ? 'a registered client is gone' : 'a client that was removed is there');
    if (this.live) assert.equal(body.client_name, this.name, 'a client has another name');
    wire.held(this.live ? 'clients there' : 'clients gone');
    for (const family of this.families) await family.hold(wire);
    this.forget();
  }

  /** What ended and was looked at need not be looked at for ever. */
  forget() {
    const ended = this.families.filter(({ live }) => !live).slice(0, -ENDED_KEPT_MAX);
    this.families = this.families.filter((family) => !ended.includes(family));
  }
}

/** An app of the management API, which gets tokens for itself. */
export class OwnApp extends Thing {
  live = true;
  forItself = true;
  families = [];
  /** `{ id, value, live }`. */
  secrets = [];

  name = freshName('job');

  async create(wire) {
    const made = await this.change(wire, 'create', () => wire.api('POST', APPS, this.fields(this.name)));
    this.client_id = expectStatus(made, 201, 'create an app').body.id;
    await this.addSecret(wire);
  }

  fields(name) {
    return { name, grant_types: ['client_credentials'], scope: 'user:read', token_endpoint_auth_method: 'client_secret_post' };
  }

  get path() {
    return `${APPS}/${this.client_id}`;
  }

  form(fields) {
    return { ...fields, client_id: this.client_id };
  }

  async addSecret(wire) {
    const { body } = expectStatus(await this.ask(wire, 'add a secret', () => wire.api('POST', `${this.path}/secrets`, {})), 201, 'a secret');
    this.secrets.push({ id: body.id, value: body.client_secret_full, live: true });
  }

  async removeSecret(wire) {
    this.removing = wire.random.pick(this.liveSecrets);
    const answer = await this.change(wire, 'remove a secret', () => wire.api('DELETE', `${this.path}/secrets/${this.removing.id}`));
    expectStatus(answer, 204, 'remove a secret');
    this.endSecret(this.removing);
  }

  async rename(wire) {
    this.wanted = freshName('job');
    expectStatus(await this.change(wire, 'rename', () => wire.api('PUT', this.path, this.fields(this.wanted))), 200, 'change an app');
    this.name = this.wanted;
  }

  async remove(wire) {
    expectStatus(await this.change(wire, 'remove', () => wire.api('DELETE', this.path)), 204, 'remove an app');
    this.end();
  }

  async issue(wire) {
    const secret = wire.random.pick(this.liveSecrets);
    const fields = this.form({ grant_type: 'client_credentials', client_secret: secret.value });
    const answer = expectStatus(await this.ask(wire, 'own token', () => tokenRequest(wire.server, fields)), 200, 'own token');
    const family = new Family(this, secret);
    family.take(wire, answer);
    this.families.push(family);
  }

  get liveSecrets() {
    return this.secrets.filter(({ live }) => live);
  }

  endSecret(secret) {
    secret.live = false;
    for (const family of this.families) if (family.secret === secret) family.live = false;
  }

  end() {
    this.live = false;
    for (const secret of this.secrets) this.endSecret(secret);
  }

  async introspect(wire, token) {
    const [secret] = this.liveSecrets;
    if (!secret) return undefined;
    const body = new URLSearchParams(this.form({ token, client_secret: secret.value }));
    const found = await this.ask(wire, 'introspect', () => request(`${wire.server.url}/oauth2/introspect`, { method: 'POST', body }));
    return expectStatus(found, 200, 'introspect');
  }

  revoke(wire, token) {
    const fields = this.form({ token, client_secret: this.liveSecrets[0].value });
    return request(`${wire.server.url}/oauth2/revoke`, { method: 'POST', body: new URLSearchParams(fields) });
  }

  settled = {
    async create(wire) {
      const found = await this.ask(wire, 'search for an app', () => wire.api('GET', `${APPS}?q=${encodeURIComponent(this.name)}`));
      const { apps } = expectStatus(found, 200, 'search').body;
      assert.ok(apps.length <= 1, 'an app was made twice');
      this.live = apps.length === 1;
      this.client_id = apps[0]?.id;
      return this.live;
    },
    async rename(wire) {
      const { body } = expectStatus(await this.ask(wire, 'look at an app', () => wire.api('GET', this.path)), 200, 'an app');
      assert.ok([this.name, this.wanted].includes(body.name), `a name that nobody gave: ${body.name}`);
      const happened = body.name === this.wanted;
      this.name = body.name;
      return happened;
    },
    async remove(wire) {
      const { status } = await this.ask(wire, 'look at an app', () => wire.api('GET', this.path));
      if (status === 404) this.end();
      return status === 404;
    },
    async 'remove a secret'(wire) {
      const { body } = expectStatus(await this.ask(wire, 'look at secrets', () => wire.api('GET', `${this.path}/secrets`)), 200, 'secrets');
      const happened = !body.some(({ id }) => id === this.removing.id);
      if (happened) this.endSecret(this.removing);
      return happened;
    },
  };

  async hold(wire) {
    if (!this.client_id) return;
    const { status, body } = await this.ask(wire, 'look at an app', () => wire.api('GET', this.path));
    assert.equal(status, this.live ? 200 : 404, this.live ? 'an app that was made is gone' : 'an app that was removed is there');
    if (this.live) assert.equal(body.name, this.name, 'an app has another name');
    wire.held(this.live ? 'clients there' : 'clients gone');
    for (const secret of this.secrets) await this.holdSecret(wire, secret);
    if (this.liveSecrets.length > 0) for (const family of this.families.slice(-OWN_TOKENS_LOOKED_AT)) await family.hold(wire);
    this.families = this.families.filter(({ live }) => live);
  }

  /** A secret that was removed proves nothing, a live one does. */
  async holdSecret(wire, secret) {
    const body = new URLSearchParams(this.form({ token: 'none', client_secret: secret.value }));
    const { status } = await this.ask(wire, 'use a secret', () => request(`${wire.server.url}/oauth2/introspect`, { method: 'POST', body }));
    assert.equal(status, secret.live ? 200 : 401, secret.live ? 'an answered secret is gone' : 'a removed secret works');
    wire.held(secret.live ? 'secrets there' : 'secrets gone');
  }
}
