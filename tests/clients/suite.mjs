// The conformance suite of the protocol's authors, as a process.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { temporaryDirectory } from './harness.mjs';

/** What it needs. */
const NODE_MAJOR_MIN = 22;

const here = path.dirname(new URL(import.meta.url).pathname);

/** The node that runs it: this one if it is new enough, else the one of package.json. */
function node() {
  if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR_MIN) return process.execPath;
  const installed = path.join(here, `node_modules/node-linux-${process.arch}/bin/node`);
  assert.ok(existsSync(installed), `expected node ${NODE_MAJOR_MIN}, found ${process.version}: run tests/run, which installs it`);
  return installed;
}

/**
 * Runs `name` (as package.json calls it) with `args`, and returns its exit code, what it printed and
 * what it checked, by scenario. `read` gets everything that it has printed, whenever it prints.
 */
export async function runSuite(name, args, read = () => {}) {
  const results = await temporaryDirectory();
  const program = path.join(here, 'node_modules', name, 'dist/index.js');
  const child = spawn(node(), [program, ...args, '-o', results], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (piece) => {
      output += piece;
      read(output, child);
    });
  }
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  const checked = {};
  for (const directory of await readdir(results)) {
    checked[directory] = JSON.parse(await readFile(path.join(results, directory, 'checks.json'), 'utf8'));
  }
  return { code, checked, output };
}
