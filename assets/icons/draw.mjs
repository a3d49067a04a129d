// Draws the PNG icons from ../icon.svg with the distribution's Chromium. They are kept in the
// repository, so that a build needs no browser. From the root, once `tests/run` has installed what
// the clients need:
//
//   node assets/icons/draw.mjs

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';

const root = path.join(import.meta.dirname, '../..');
const { chromium } = createRequire(path.join(root, 'tests/clients/'))('playwright-core');

/** The ground of the pages in light, as style.css has it. */
const GROUND = '#eceeeb';
/** What is in the middle 80 % is seen whatever shape the icon is cut to (W3C, Manifest, "maskable"). */
const SAFE = 0.6;

const svg = await readFile(path.join(root, 'assets/icon.svg'), 'utf8');
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
for (const [name, side, part, ground] of [
  ['icon-192', 192, 1, 'transparent'],
  ['icon-512', 512, 1, 'transparent'],
  ['icon-maskable', 512, SAFE, GROUND],
]) {
  const page = await browser.newPage({ viewport: { width: side, height: side } });
  const size = Math.round(side * part);
  await page.setContent(
    `<body style="margin:0;background:${ground};display:grid;place-content:center;height:100vh"><div style="width:${size}px;height:${size}px">${svg}`,
  );
  await page.screenshot({ path: path.join(import.meta.dirname, `${name}.png`), omitBackground: true });
}
await browser.close();
