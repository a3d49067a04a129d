// Programs that we did not write the most of, and a person at their browser: each prints what is to
// be opened, gets the URL of the answer on its standard input, and asserts for itself.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** Has `person` let the device in that shows `url`. */
async function approve(person, url) {
  const page = await person.consentPage(url);
  const asking = await person.submit(page, page.form('[name=user_code]'));
  await person.submit(asking, asking.form('[name=decision]'), { decision: 'allow' });
  return 'approved';
}

/**
 * Runs `program` with `person` at its browser, to its end. They leave out `withoutAtFirst` the first
 * time that they are asked.
 */
export async function runWithPerson(program, args, person, { env = {}, withoutAtFirst } = {}) {
  assert.ok(existsSync(program), `${program} is missing: run \`tests/run\`, which makes it`);
  const child = spawn(program, args, { env: { PATH: process.env.PATH, ...env } });
  let output = '';
  let asked = 0;
  child.stderr.on('data', (piece) => (output += piece));
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => {
    output += `${line}\n`;
    const [, what, url] = line.match(/^(open|approve) (\S+)$/) ?? [];
    if (!url) return;
    const without = asked++ === 0 ? withoutAtFirst : undefined;
    const answered = what === 'open' ? person.authorize(url, { without }) : approve(person, url);
    answered.then(
      (answer) => child.stdin.write(`${answer}\n`),
      (fault) => {
        output += fault.stack;
        child.kill();
      },
    );
  });
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', (code, signal) => resolve(signal ?? code)));
  assert.equal(code, 0, output);
  assert.match(output, /^done$/m);
}
