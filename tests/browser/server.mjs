// Starts and stops the real binary, and a browser; everything that a test starts is stopped at its end.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const ROOT = new URL('../../', import.meta.url).pathname;
const BINARY = process.env.STREAMGAUGE_BINARY ?? join(ROOT, 'target/release/streamgauge');
export const SHOTS = join(ROOT, '.cache/screenshots');

/** A running server: `url`, `stop(signal)`, `kill()`; `dir` is its data directory. */
export async function serve(args, { dir = mkdtempSync(join(tmpdir(), 'streamgauge-')), port = 0 } = {}) {
  const child = spawn(BINARY, [...args, '--listen', `127.0.0.1:${port}`, '--data-dir', dir], { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  child.stderr.on('data', (d) => { log = (log + d).slice(-20_000); });
  const gone = new Promise((done) => child.on('exit', (code, signal) => done({ code, signal })));
  const url = await new Promise((done, fail) => {
    let out = '';
    const timer = setTimeout(() => fail(new Error(`not serving after 20 s\n${log}`)), 20_000);
    child.stdout.on('data', (d) => {
      out += d;
      const m = out.match(/streamgauge listening (http:\/\/\S+)/);
      if (m) { clearTimeout(timer); done(m[1]); }
    });
    gone.then((g) => { clearTimeout(timer); fail(new Error(`ended early: ${JSON.stringify(g)}\n${log}`)); });
  });
  const stop = async (signal = 'SIGTERM') => { child.kill(signal); return gone; };
  return {
    url, dir, stop, log: () => log, pid: child.pid,
    /** Stops it and removes its data. */
    async end() { await stop('SIGKILL'); rmSync(dir, { recursive: true, force: true }); },
  };
}

/** Waits until the demo's quarter of an hour of history is there. */
export const history = (server) => until('history', async () => {
  const answer = await fetch(`${server.url}/api/v1/flows/checkout/history?step=1s`);
  return answer.status === 200 && (await answer.json()).data.points.length > 800;
}, 30_000);

/** A browser page that collects what must not happen: console errors, CSP violations, page errors. */
export async function browse(options = {}) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, ...options });
  const page = await context.newPage();
  const faults = [];
  page.on('console', (m) => { if (m.type() === 'error' && !/net::ERR_|Failed to load resource/.test(m.text())) faults.push(m.text()); });
  page.on('pageerror', (e) => faults.push(String(e)));
  await page.addInitScript(() => {
    globalThis.__csp = [];
    document.addEventListener('securitypolicyviolation', (e) => globalThis.__csp.push(`${e.violatedDirective} ${e.blockedURI}`));
  });
  return { browser, context, page, faults, violations: () => page.evaluate(() => globalThis.__csp ?? []) };
}

/** Waits until `check` gives something truthy; polls, never sleeps blindly, and says what it waited for. */
export async function until(what, check, ms = 15_000) {
  const end = Date.now() + ms;
  let last;
  while (Date.now() < end) {
    try { const got = await check(); if (got) return got; last = got; } catch (e) { last = e; }
    await new Promise((r) => setTimeout(r, 50));
  }
  throw new Error(`waited ${ms} ms for: ${what}; last: ${last}`);
}
