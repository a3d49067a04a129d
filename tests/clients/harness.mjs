// The built binary, run as its users run it, and a person who signs in and consents with plain
// HTTP. The browser's own tests are in browser.test.mjs.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse } from 'node-html-parser';

/** How long the server may take until it says that it is ready; a cold debug build is slow. */
const READY_MS_MAX = 60_000;
/** How long a command or a stop may take: the server finishes what runs within 10 s. */
const EXIT_MS_MAX = 60_000;
/** How long `soon` waits. Long, because a machine may be busy; only what fails waits for it. */
const SOON_MS_MAX = 60_000;
/** How long `soon` rests between two looks. */
const LOOK_MS = 50;
/** Redirects within the box that one click may cause. */
const REDIRECTS_MAX = 5;

const BINARY = process.env.KEYSTEAD_BIN;
assert.ok(BINARY, 'expected the path of the built binary in KEYSTEAD_BIN; `cargo test --test real_clients` sets it');

/** What the binary sees of the environment: nothing of the machine's own settings. */
const environment = (home) => ({ PATH: process.env.PATH, HOME: home, NO_COLOR: '1' });

/** What this process started and made, and must not leave behind. */
const running = new Set();
const directories = [];
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});
// The test runner ends a suite that takes too long with a signal, which alone would leave all of it.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

/** An empty directory that is gone when the suite is. */
export async function temporaryDirectory() {
  const directory = await mkdtemp(path.join(tmpdir(), 'keystead-'));
  directories.push(directory);
  return directory;
}

/** Waits until `holds` answers something true, which it is. */
export async function soon(holds, what) {
  const end = Date.now() + SOON_MS_MAX;
  for (;;) {
    const held = await holds();
    if (held) return held;
    assert.ok(Date.now() < end, `expected within ${SOON_MS_MAX} ms: ${what}`);
    await sleep(LOOK_MS);
  }
}

/** A port that was free a moment ago: some must be named before they are bound. */
export async function freePort() {
  const listener = createServer();
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const { port } = listener.address();
  await new Promise((resolve) => listener.close(resolve));
  return port;
}

/** Another program that `tests/run` builds. */
export const builtBeside = (name) => path.join(path.dirname(BINARY), name);

/** Starts `binary`, by `wrap` where that is a command that ends by running the one after it. */
function start(args, { wrap = [], binary = BINARY, ...options }) {
  const [program, ...all] = [...wrap, binary, ...args];
  const child = spawn(program, all, options);
  running.add(child);
  child.once('close', () => running.delete(child));
  return child;
}

/** Runs `keystead` with `args` to its end. */
export async function keystead(args, { input = '', ...options } = {}) {
  const child = start(args, { env: environment(tmpdir()), ...options });
  // A command that refuses its arguments does not read its input.
  child.stdin.on('error', (fault) => assert.equal(fault.code, 'EPIPE'));
  child.stdin.end(input);
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) child[name].on('data', (piece) => (texts[name] += piece));
  const code = await exitOf(child, EXIT_MS_MAX, () => texts.stderr);
  return { code, ...texts };
}

/** The exit code of `child`, or the signal that ended it; it is killed when it does not end. */
function exitOf(child, milliseconds, describe) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`expected an exit within ${milliseconds} ms; standard error:\n${describe()}`));
    }, milliseconds);
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(late);
      resolve(signal ?? code);
    });
  });
}

/** `keystead serve` on a data directory. */
export class Server {
  #child;
  #exit;
  #lines = [];
  #waiting = [];
  /** What uses the server and closes before it: a page that is open complains of one that goes. */
  guests = [];
  /** How people's requests get to it, where `fetch` is not the way. */
  fetch;
  stderr = '';

  /**
   * Starts a server that `t` stops, and waits until it is ready.
   *
   * `config` is the text of a configuration file. A server that is started again must keep its
   * `listen` address: the public URL, which tokens are bound to, has the port in it. `wrap` is a
   * command that ends by running the one after it.
   */
  static async start(t, options) {
    const server = await Server.launch(t, options);
    await server.ready();
    return server;
  }

  /** The same, without waiting. */
  static async launch(t, { data, listen = '127.0.0.1:0', args = [], config, rateLimit = 'off', wrap, binary } = {}) {
    const server = new Server();
    server.data = data ?? (await temporaryDirectory());
    Object.assign(server, { wrap, binary });
    const all = ['serve', '--data', server.data, '--listen', listen, '--rate-limit', rateLimit, ...args];
    if (config !== undefined) {
      const file = path.join(await temporaryDirectory(), 'keystead.toml');
      await writeFile(file, config);
      all.push('--config', file);
    }
    server.#run(all);
    t.after(async () => {
      for (const guest of server.guests) await guest.close();
      if (server.url && !server.exited) await server.verifyAudit();
      await server.kill();
    });
    return server;
  }

  /** Waits until it answers. */
  async ready() {
    [, this.url] = await this.#line(/^Keystead is ready at (\S+)$/);
  }

  #run(args) {
    this.#child = start(args, { wrap: this.wrap, binary: this.binary, env: environment(this.data), stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.stderr.on('data', (piece) => (this.stderr += piece));
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      this.#lines.push(line);
      for (const look of this.#waiting) look();
    });
    this.#exit = exitOf(this.#child, 2 ** 31 - 1, () => this.stderr);
    this.#exit.finally(() => {
      this.exited = true;
      for (const look of this.#waiting) look();
    });
  }

  /** The first line of standard output that matches `pattern`, waited for. */
  #line(pattern) {
    return new Promise((resolve, reject) => {
      const look = () => {
        const match = this.#lines.map((line) => line.match(pattern)).find(Boolean);
        if (!match && !this.exited) return;
        clearTimeout(late);
        this.#waiting = this.#waiting.filter((other) => other !== look);
        if (match) resolve(match);
        else reject(new Error(`the server ended before it printed ${pattern}:\n${this.stderr}`));
      };
      const late = setTimeout(
        () => reject(new Error(`expected ${pattern} within ${READY_MS_MAX} ms, found ${JSON.stringify(this.#lines)}\n${this.stderr}`)),
        READY_MS_MAX,
      );
      this.#waiting.push(look);
      look();
    });
  }

  /** The one-time link with which the owner claims the box. */
  async claimLink() {
    const line = await this.#line(/^Claim this box \(once, within .*\): (\S+)$/);
    return line[1];
  }

  /** Makes a user while the server runs, and a person who knows the password. */
  async person(name = 'ada', { owner = true, password = 'correct horse battery staple' } = {}) {
    const args = ['user', 'add', name, '--data', this.data, '--password-stdin', ...(owner ? ['--owner'] : [])];
    const { code, stderr } = await keystead(args, { input: `${password}\n`, wrap: this.wrap });
    assert.equal(code, 0, stderr);
    return new Person(this, name, password);
  }

  /** Where a second start must listen so that the public URL stays. */
  get listen() {
    return `127.0.0.1:${new URL(this.url).port}`;
  }

  get pid() {
    return this.#child.pid;
  }

  signal(name) {
    this.#child.kill(name);
  }

  reload() {
    this.signal('SIGHUP');
  }

  /** Asks the server to end, which it must do in order, and looks at what it leaves. */
  async stop() {
    await this.end();
    await this.verifyAudit();
  }

  /** Asks the server to end; it must do so in order. */
  async end() {
    this.#child.kill('SIGTERM');
    const late = setTimeout(() => this.#child.kill('SIGKILL'), EXIT_MS_MAX);
    const code = await this.#exit;
    clearTimeout(late);
    assert.equal(code, 0, `expected exit code 0 after SIGTERM, found ${code}:\n${this.stderr}`);
  }

  /** Whatever was done to it, the log of what was done holds together. */
  async verifyAudit() {
    const { code, stdout, stderr } = await keystead(['audit', 'verify', '--data', this.data], { wrap: this.wrap });
    assert.equal(code, 0, `the audit log does not verify:\n${stdout}${stderr}`);
  }

  /** Whether it runs or not, its data file is whole. */
  async check() {
    const { code, stdout, stderr } = await keystead(['check', '--data', this.data], { wrap: this.wrap });
    assert.equal(code, 0, `the data file is not whole:\n${stdout}${stderr}`);
  }

  /** Ends the server at once, as a power cut would end it. */
  async kill() {
    this.#child.kill('SIGKILL');
    await this.#exit;
  }
}

/** A page as a person without JavaScript gets it. */
class Page {
  constructor(url, response, html) {
    this.url = url;
    this.status = response.status;
    this.headers = response.headers;
    this.html = html;
    this.root = parse(html);
  }

  /** The text as it is read. */
  get text() {
    return (this.root.querySelector('main') ?? this.root).structuredText;
  }

  /** The form that holds what `selector` finds; `null` if there is none. */
  form(selector) {
    return this.root.querySelector(selector)?.closest('form') ?? null;
  }
}

/** What a browser would send for `form`: an array of pairs, because a name may repeat. */
export function fieldsOf(form) {
  return form
    .querySelectorAll('input[name]')
    .filter((input) => !['checkbox', 'radio'].includes(input.getAttribute('type')) || input.hasAttribute('checked'))
    .map((input) => [input.getAttribute('name'), input.getAttribute('value') ?? '']);
}

/** Somebody with a browser that keeps cookies. */
export class Person {
  #cookies = new Map();

  constructor(server, name, password) {
    this.server = server;
    this.name = name;
    this.password = password;
  }

  /** A copy of the cookies, as they can be set again. */
  get cookies() {
    return new Map(this.#cookies);
  }

  set cookies(cookies) {
    this.#cookies = new Map(cookies);
  }

  /** One request, with this person's cookies; redirects are handed back. */
  async fetch(url, init = {}) {
    const headers = new Headers(init.headers);
    const cookies = [...this.#cookies].map(([name, value]) => `${name}=${value}`);
    if (cookies.length > 0) headers.set('cookie', cookies.join('; '));
    const ask = this.server.fetch ?? fetch;
    const response = await ask(new URL(url, this.server.url), { ...init, headers, redirect: 'manual' });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      if (/;\s*max-age=0/i.test(line) || value === '') this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
    return response;
  }

  /** Opens `url` and follows redirects within the box; the URL of a redirect that leaves it is returned instead. */
  async open(url, init) {
    let at = new URL(url, this.server.url);
    let response = await this.fetch(at, init);
    for (let count = 0; [302, 303, 307, 308].includes(response.status); count++) {
      assert.ok(count < REDIRECTS_MAX, `expected at most ${REDIRECTS_MAX} redirects, the last to ${at}`);
      await response.arrayBuffer();
      at = new URL(response.headers.get('location'), at);
      if (at.origin !== this.server.url) return at;
      response = await this.fetch(at);
    }
    return new Page(at, response, await response.text());
  }

  /** Sends `form` of `page` with `fields` over its own values (an array replaces all of that name). */
  submit(page, form, fields = {}) {
    return this.open(...this.posted(page, form, fields));
  }

  /** What `submit` sends first: where to, and what. */
  posted(page, form, fields = {}) {
    assert.equal(form.getAttribute('method')?.toLowerCase(), 'post');
    const body = new URLSearchParams(fieldsOf(form).filter(([name]) => !(name in fields)));
    for (const [name, value] of Object.entries(fields)) for (const one of [value].flat()) body.append(name, one);
    const action = new URL(form.getAttribute('action') ?? page.url, page.url);
    // A browser sends the origin of the page with every post.
    return [action, { method: 'POST', body, headers: { origin: page.url.origin } }];
  }

  /** Signs in on `page` (the sign-in page unless given), and returns where that leads. */
  async signIn(page, password = this.password) {
    const at = page ?? (await this.open('/sign-in'));
    const form = at.form('input[name=password]');
    assert.ok(form, `expected a sign-in form at ${at.url}, found ${at.status}:\n${at.text}`);
    return this.submit(at, form, { username: this.name, password });
  }

  /** Opens an authorization URL up to the consent page, and signs in on the way where that is asked. */
  async consentPage(url) {
    const page = await this.open(url);
    return page instanceof Page && page.form('input[name=password]') ? this.signIn(page) : page;
  }

  /**
   * Answers an authorization request and returns the URL at which the client gets its answer.
   * `without` names scopes whose boxes are unticked.
   */
  async authorize(url, { decision = 'allow', without = [] } = {}) {
    const page = await this.consentPage(url);
    if (page instanceof URL) return page;
    const form = page.form('[name=decision]');
    assert.ok(form, `expected a consent page at ${page.url}, found ${page.status}:\n${page.text}`);
    const scope = fieldsOf(form).filter(([name]) => name === 'scope').map(([, value]) => value);
    const kept = scope.filter((one) => !without.includes(one));
    const answer = await this.submit(page, form, { decision, scope: kept });
    assert.ok(answer instanceof URL, `expected a redirect to the client, found ${answer.status}:\n${answer.text}`);
    return answer;
  }
}
