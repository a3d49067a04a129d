// What an application gives the MCP clients so that they can sign somebody in. Here the somebody is
// a `Person` of the harness. It fits both generations of the TypeScript client.

import { randomBytes } from 'node:crypto';

export class Provider {
  /** What was stored, by what it is. */
  stored = {};
  /** Every authorization URL that the client wanted opened. */
  opened = [];

  constructor({ redirectUrl = 'https://app.example/callback', metadata = {} } = {}) {
    this.redirectUrl = redirectUrl;
    this.clientMetadata = {
      client_name: 'TypeScript client',
      redirect_uris: [redirectUrl],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      ...metadata,
    };
  }

  state() {
    return (this.stored.state ??= randomBytes(16).toString('base64url'));
  }

  clientInformation() {
    return this.stored.client;
  }

  saveClientInformation(client) {
    this.stored.client = client;
  }

  tokens() {
    return this.stored.tokens;
  }

  saveTokens(tokens) {
    this.stored.tokens = tokens;
  }

  codeVerifier() {
    return this.stored.verifier;
  }

  saveCodeVerifier(verifier) {
    this.stored.verifier = verifier;
  }

  saveDiscoveryState(state) {
    this.stored.discovery = state;
  }

  discoveryState() {
    return this.stored.discovery;
  }

  invalidateCredentials(what) {
    const names = { all: ['client', 'tokens', 'verifier', 'discovery'] }[what] ?? [what];
    for (const name of names) delete this.stored[name];
  }

  redirectToAuthorization(url) {
    this.opened.push(url);
  }
}
