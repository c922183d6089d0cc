// How pages are looked at: every look once, and a shot that fails where something hangs over the right edge.
import assert from 'node:assert/strict';
import { SHOTS } from './server.mjs';

/** Name, options of the browser, what the address says beside. */
export const LOOKS = [
  ['light', { colorScheme: 'light' }, ''],
  ['dark', { colorScheme: 'dark' }, ''],
  ['phone', { colorScheme: 'dark', viewport: { width: 360, height: 740 }, deviceScaleFactor: 2 }, ''],
  ['korean', { colorScheme: 'light' }, 'lang=ko'],
  ['contrast', { colorScheme: 'dark' }, 'theme=contrast'],
];

/** A page that scrolls sideways is broken. */
export async function fits(page, what) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(wide <= 1, `${what}: ${wide} px hang over the right edge`);
}

export async function shoot(page, name) {
  await fits(page, name);
  await page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true });
}
