// The distribution's Chromium, driven by playwright-core, for the suites that need a real browser.
// Screenshots are kept in tests/artefacts/screens.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { after, before } from 'node:test';
import axe from 'axe-core';
import { chromium } from 'playwright-core';

const SCREENS = path.join(import.meta.dirname, '../artefacts/screens');
/** Everybody's. */
export const PASSWORD = 'correct horse battery staple';
/** A page that does not come within this time does not come. */
const PAGE_MS_MAX = 15_000;
/** The narrowest phone that the pages are made for. */
export const PHONE = { width: 320, height: 640 };

const EXECUTABLE = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((file) => existsSync(file));
assert.ok(EXECUTABLE, 'expected Chromium in /usr/bin: run tests/run, or apt-get install chromium');

let browser;
before(async () => {
  await mkdir(SCREENS, { recursive: true });
  browser = await chromium.launch({
    executablePath: EXECUTABLE,
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync',
    ],
  });
});
after(() => browser.close());

/** A fresh browser profile with one page on the box. */
export async function visitor(t, server, options = {}) {
  const context = await browser.newContext({ baseURL: server.url, viewport: { width: 1000, height: 800 }, ...options });
  context.setDefaultTimeout(PAGE_MS_MAX);
  server.guests.push(context);
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (message) => {
    // Chromium also says when an answer's status is an error, which several tests provoke.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) complaints.push(message.text());
  });
  page.on('pageerror', (fault) => complaints.push(String(fault)));
  t.after(() => assert.deepEqual(complaints, [], 'the browser complained'));
  return page;
}

export async function signIn(page, name = 'ada', password = PASSWORD) {
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** Keeps what the page looks like. */
export const shot = (page, name) => page.screenshot({ path: path.join(SCREENS, `${name}.png`), fullPage: true });

/** What axe-core finds wrong with the page. */
export async function accessible(page) {
  // Evaluated rather than put into the page: the page's policy allows no script, and keeps doing so.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  assert.deepEqual(violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)]), [], page.url());
}

/** Asserts that the page is accessible and no wider than its window, and keeps what it looks like. */
export async function whole(page, name) {
  await accessible(page);
  await shot(page, name);
  const [inner, outer] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  assert.ok(inner <= outer, `${name} is ${inner} wide in a window of ${outer}`);
}
