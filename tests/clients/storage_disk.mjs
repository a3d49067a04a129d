// Disks that fill up and file systems that are read-only, without a right that a test has not: a
// limit on the size of a file, and a small disk in a mount namespace of its own.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { temporaryDirectory } from './harness.mjs';

const run = promisify(execFile);

/** Bytes of the small disk. */
const DISK_BYTES = 8 << 20;

/** The data file of `server`. */
const dataFile = (server) => path.join(server.data, 'keystead.redb');

/** No disk, but a bound to the size of a file, which the system keeps as it keeps that of a disk. */
export class FileLimit {
  name = 'a limit on the size of a file';
  options = {};

  /** From now on no file of `server` may become larger than the data file is. */
  fill(server) {
    return this.#limit(server, statSync(dataFile(server)).size);
  }

  relieve(server) {
    return this.#limit(server, 'unlimited');
  }

  #limit(server, bytes) {
    // The soft limit only: to raise the hard one again takes a right.
    return run('prlimit', ['--pid', `${server.pid}`, `--fsize=${bytes}:unlimited`]);
  }
}

/** A disk in memory, which only those see who enter its namespace. */
export class SmallDisk {
  name = 'a small disk';
  #holder;

  /** Mounts one, for as long as `t`; if the machine allows none, why. */
  static async mount(t) {
    const disk = new SmallDisk();
    const directory = await temporaryDirectory();
    const script = `mount -t tmpfs -o size=${DISK_BYTES} none "$1" && echo mounted && exec sleep infinity`;
    const flags = ['--user', '--map-root-user', '--mount'];
    const holder = spawn('unshare', [...flags, 'sh', '-c', script, 'sh', directory], { stdio: ['ignore', 'pipe', 'pipe'] });
    let fault = '';
    holder.on('error', ({ message }) => (fault = message));
    holder.stderr.on('data', (piece) => (fault += piece));
    t.after(() => holder.kill('SIGKILL'));
    process.on('exit', () => holder.kill('SIGKILL'));
    const { value } = await createInterface({ input: holder.stdout })[Symbol.asyncIterator]().next();
    if (value !== 'mounted') return { why: fault.trim() };
    disk.#holder = holder.pid;
    disk.directory = directory;
    return { disk };
  }

  /** The command that runs another where the disk can be seen. */
  get wrap() {
    return ['nsenter', '--user', '--mount', '--preserve-credentials', `--target=${this.#holder}`];
  }

  get options() {
    return { data: path.join(this.directory, 'data'), wrap: this.wrap };
  }

  /** Runs a line of shell there, `$1` being the disk. */
  sh(line) {
    const [program, ...args] = [...this.wrap, 'sh', '-c', line, 'sh', this.directory];
    return run(program, args);
  }

  /** Leaves no room for a single byte more. */
  async fill() {
    await assert.rejects(this.sh('cat /dev/zero >"$1/ballast"'), /no space left/i);
  }

  relieve() {
    return this.sh('rm "$1/ballast"');
  }

  /** Has it take no changes, or take them again. */
  remount(how) {
    return this.sh(`mount -o remount,${how} "$1"`);
  }
}
