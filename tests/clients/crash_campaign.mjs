// The crash campaign from outside: many callers at once, the server interrupted in every way there
// is, and after each interruption everything that was answered looked at.

import assert from 'node:assert/strict';
import { closeSync, openSync, writeSync } from 'node:fs';
import { cp, mkdir, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Administrator, Caller } from './crash_callers.mjs';
import { Random } from './crash_random.mjs';
import { keystead, Server, temporaryDirectory } from './harness.mjs';

const CALLERS = 64;
/** People behind them: a password costs more to check than all else. */
const PEOPLE = 4;
/** An interruption comes after so many things done, least and most, in a short campaign and in one that goes on ... */
const DONE_SHORT = [60, 250];
const DONE_LONG = [60, 1_500];
/** ... or after this time on a slow machine, and then a moment later: not always just after an answer. */
const LOAD_MS_MAX = 2_500;
const MOMENT_MS_MAX = 8;
/** Starts in a row that are killed, and how long after they began: half of them this early ... */
const STARTS_KILLED = 3;
const START_MS_EARLY = 50;
/** ... and the others at any time until they would be ready. */
const START_MS_LATE = 250;
/** How long after it is ready a server is killed that has much to sweep. */
const SWEEP_MS_MAX = 150;
/** How long after a backup began the server is killed. */
const BACKUP_MS_MAX = 120;
/** How often a server is stopped and continued in a round, and for how long. */
const STOPS = 3;
const STOPPED_MS_MAX = 400;

/** Lifetimes of the settings file, and what follows from them for the callers. */
const lifetimes = ({ access, idle, code, window }) => ({
  config: `[token]\naccess_ttl = "${access}s"\nrefresh_idle_ttl = "${idle}s"\ncode_ttl = "${code}s"\nreplay_window = "${window}s"\n`,
  idleMs: idle * 1000,
  codeMs: code * 1000,
  windowMs: window * 1000,
});
const LASTING = lifetimes({ access: 3600, idle: 86_400, code: 600, window: 120 });
const NO_WINDOW = lifetimes({ access: 3600, idle: 86_400, code: 600, window: 0 });
const SHORT = lifetimes({ access: 1, idle: 2, code: 2, window: 0 });
/** Until all that was issued under `SHORT` has ended. */
const SHORT_MS = 2_000;

/** The ways to interrupt a server under load, and to have it back. */
const INTERRUPTIONS = [
  { name: 'kill', lifetimes: LASTING, interrupt: kill, resume: start },
  { name: 'kill, and again while it starts', lifetimes: NO_WINDOW, interrupt: kill, resume: startAfterKilledStarts },
  { name: 'kill, and again while it sweeps', lifetimes: SHORT, interrupt: kill, resume: startAfterKilledSweeps },
  { name: 'kill in a backup', lifetimes: LASTING, interrupt: killInBackup, resume: start },
  { name: 'stop and continue', lifetimes: LASTING, interrupt: stopAndContinue },
  { name: 'terminate', lifetimes: NO_WINDOW, interrupt: terminate, resume: start, refuses: true },
];

async function kill(campaign) {
  await campaign.load();
  campaign.cutting = true;
  await campaign.server.kill();
  campaign.enough = true;
}

/** A backup has its name when it is whole, and not before. */
async function killInBackup(campaign) {
  await campaign.load();
  const file = path.join(path.dirname(campaign.data), 'backup');
  const backup = keystead(['backup', file, '--data', campaign.data]);
  await sleep(campaign.random.below(BACKUP_MS_MAX));
  campaign.cutting = true;
  await campaign.server.kill();
  campaign.enough = true;
  const made = await backup;
  campaign.count(made.code === 0 ? 'backups whole' : 'backups cut');
  if (made.code !== 0) return assert.rejects(stat(file), { code: 'ENOENT' }, `a backup that failed is there: ${made.stderr}`);
  const { code, stdout, stderr } = await keystead(['check', file]);
  return assert.equal(code, 0, `a backup is not whole:\n${stdout}${stderr}`);
}

async function terminate(campaign) {
  await campaign.load();
  campaign.cutting = true;
  // Not yet verified: the administrator's command works without a server too, and has the file.
  await campaign.server.end();
  campaign.enough = true;
}

/** Nothing may get lost: what is not answered while the server is stopped is answered when it goes on. */
async function stopAndContinue(campaign) {
  for (let count = 0; count < STOPS; count++) {
    await campaign.load(DONE_SHORT[0]);
    campaign.server.signal('SIGSTOP');
    await sleep(campaign.random.below(STOPPED_MS_MAX));
    campaign.server.signal('SIGCONT');
  }
  campaign.enough = true;
}

function start(campaign) {
  return campaign.start();
}

async function startAfterKilledStarts(campaign) {
  for (let count = 0; count < STARTS_KILLED; count++) {
    const server = await campaign.launch();
    await sleep(campaign.random.below(count % 2 ? START_MS_LATE : START_MS_EARLY));
    await server.kill();
    campaign.count('starts killed');
  }
  await campaign.start();
}

/** A server sweeps as soon as it has started. */
async function startAfterKilledSweeps(campaign) {
  await sleep(SHORT_MS);
  for (let count = 0; count < STARTS_KILLED; count++) {
    await campaign.start();
    await sleep(campaign.random.below(SWEEP_MS_MAX));
    await campaign.server.kill();
    campaign.count('sweeps killed');
  }
  await campaign.start();
}

/** One data directory and all that happens to it. */
class Campaign {
  totals = new Map();
  cutting = false;
  enough = false;
  #waiting = [];

  constructor(t, seed, done) {
    this.t = t;
    this.seed = seed;
    this.done = done;
    this.random = new Random(seed);
  }

  async run() {
    const directory = await temporaryDirectory();
    this.data = path.join(directory, 'data');
    this.journal = openSync(path.join(directory, 'journal.jsonl'), 'wx');
    try {
      await this.setUp();
      const rounds = this.random.shuffled(INTERRUPTIONS);
      for (const [at, interruption] of rounds.entries()) await this.round(interruption, rounds[at + 1]);
      await this.server.stop();
    } catch (fault) {
      await this.keep(fault);
      throw fault;
    } finally {
      closeSync(this.journal);
    }
    await rm(directory, { recursive: true });
  }

  async setUp() {
    this.lifetimes = LASTING;
    await this.start();
    const names = Array.from({ length: PEOPLE }, (_, at) => `owner-${at}`);
    const people = await Promise.all(names.map(async (name) => {
      const person = await this.server.person(name);
      await person.signIn();
      const me = await person.fetch('/api/v2/users/me');
      return { person, csrfToken: me.headers.get('x-csrf-token') };
    }));
    this.workers = Array.from({ length: CALLERS }, (_, at) => new Caller(this, `caller ${at}`, people[at % PEOPLE]));
    this.workers.push(new Administrator(this, 'administrator'));
  }

  /**
   * Has everybody work, interrupts the server, has it back (already with the lifetimes of the next
   * round), and looks at everything.
   */
  async round(interruption, next) {
    if (interruption.lifetimes !== this.lifetimes) {
      await this.server.stop();
      this.lifetimes = interruption.lifetimes;
      await this.start();
    }
    this.write({ asked: Date.now(), round: interruption.name });
    [this.cutting, this.enough, this.refuses] = [false, false, interruption.refuses];
    await this.together([interruption.interrupt(this), ...this.workers.map((worker) => worker.work())]);
    this.write({ asked: Date.now(), interrupted: interruption.name });
    this.lifetimes = interruption.resume && next ? next.lifetimes : this.lifetimes;
    await interruption.resume?.(this);
    this.last = !next;
    await this.together(this.workers.map((worker) => worker.check()));
    await this.server.check();
    this.count('interruptions');
  }

  /** Waits for all, also for those that go on when one has failed. */
  async together(all) {
    const failed = (fault) => {
      this.enough = true;
      throw fault;
    };
    const ends = await Promise.allSettled(all.map((one) => one.catch(failed)));
    const fault = ends.find(({ status }) => status === 'rejected');
    if (fault) throw fault.reason;
  }

  async launch() {
    const { data, lifetimes: { config }, server } = this;
    return Server.launch(this.t, { data, config, listen: server?.listen });
  }

  async start() {
    const server = await this.launch();
    await server.ready();
    this.server = server;
  }

  /** Waits until as much was done as the seed says, or `done` things. */
  async load(done = this.random.between(...this.done)) {
    const until = new Promise((resolve) => this.#waiting.push({ left: done, resolve }));
    const late = new AbortController();
    await Promise.race([until, sleep(LOAD_MS_MAX, undefined, { signal: late.signal }).catch(() => {})]);
    late.abort();
    await sleep(this.random.below(MOMENT_MS_MAX));
  }

  /** Something was done, and its answer has come. */
  answer() {
    this.count('done');
    for (const waiting of this.#waiting) if (--waiting.left === 0) waiting.resolve();
    this.#waiting = this.#waiting.filter(({ left }) => left > 0);
  }

  count(what) {
    this.totals.set(what, (this.totals.get(what) ?? 0) + 1);
  }

  settled(thing, what, happened) {
    this.write({ asked: Date.now(), about: thing.id, settled: what, happened });
    this.count(happened === undefined ? 'cut, untold' : happened ? 'cut, had happened' : 'cut, had not happened');
    // A server that ends in order answers what it has begun.
    assert.ok(!(this.refuses && happened), `${what} of ${thing.id} was done and not answered`);
  }

  write(entry) {
    writeSync(this.journal, `${JSON.stringify(entry)}\n`);
  }

  /** Keeps what is needed to look into a failure. */
  async keep(fault) {
    await this.server?.kill();
    const kept = path.join(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '../artefacts', `crash-${this.seed}`);
    await rm(kept, { recursive: true, force: true });
    await mkdir(kept, { recursive: true });
    await cp(path.dirname(this.data), kept, { recursive: true, filter: (source) => !source.endsWith('.sock') });
    await writeFile(path.join(kept, 'stderr.log'), this.server?.stderr ?? '');
    fault.message += `\nseed ${this.seed}; the data directory and the journal are kept in tests/artefacts/crash-${this.seed}`;
  }
}

/** Runs campaigns, the first with `seed`, until `milliseconds` are over; their totals. */
export async function campaigns(t, { seed, milliseconds, say }) {
  const totals = new Map();
  const end = Date.now() + milliseconds;
  for (let count = 0; count === 0 || Date.now() < end; count++) {
    const campaign = new Campaign(t, seed + count, milliseconds > 0 ? DONE_LONG : DONE_SHORT);
    say(`seed ${campaign.seed}`);
    await campaign.run();
    for (const [what, many] of campaign.totals) totals.set(what, (totals.get(what) ?? 0) + many);
    say(JSON.stringify(Object.fromEntries(totals)));
  }
  return totals;
}
