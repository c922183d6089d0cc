// Starts and stops the real binary, and a browser; everything that a test starts is stopped at its end.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const ROOT = new URL('../../', import.meta.url).pathname;
const BINARY = process.env.STREAMGAUGE_BINARY ?? join(ROOT, 'target/release/streamgauge');
export const SHOTS = join(process.env.STREAMGAUGE_CACHE ?? join(ROOT, '.cache'), 'screenshots');
/** Longer than anything takes that works, however slow the machine: only what hangs meets it. */
export const PATIENCE = 120_000;

/** A port for a server that comes back to it: below those that outgoing connections of the machine are given. */
export async function freePort() {
  const above = Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s+/)[0]);
  const [low, count] = above > 12_000 ? [10_000, Math.min(above, 15_000) - 10_000] : [10_000, 5_000];
  for (let n = 0; n < count; n += 1) {
    const port = low + (process.pid * 101 + n) % count;
    const free = await new Promise((done) => {
      const probe = createServer();
      probe.once('error', () => done(false));
      probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)));
    });
    if (free) return port;
  }
  throw new Error('no free port');
}

/** A running server: `url`, `stop(signal)`, `kill()`; `dir` is its data directory. */
export async function serve(args, { dir = mkdtempSync(join(tmpdir(), 'streamgauge-')), port = 0 } = {}) {
  const child = spawn(BINARY, [...args, '--listen', `127.0.0.1:${port}`, '--data-dir', dir], { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  child.stderr.on('data', (d) => { log = (log + d).slice(-20_000); });
  const gone = new Promise((done) => child.on('exit', (code, signal) => done({ code, signal })));
  const url = await new Promise((done, fail) => {
    let out = '';
    const timer = setTimeout(() => fail(new Error(`not serving after ${PATIENCE} ms\n${log}`)), PATIENCE);
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
});

/** A browser page that collects what must not happen: console errors, CSP violations, page errors. */
export async function browse(options = {}) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, ...options });
  context.setDefaultTimeout(PATIENCE);
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
export async function until(what, check, ms = PATIENCE) {
  const end = Date.now() + ms;
  let last;
  while (Date.now() < end) {
    try { const got = await check(); if (got) return got; last = got; } catch (e) { last = e; }
    await new Promise((r) => setTimeout(r, 50));
  }
  throw new Error(`waited ${ms} ms for: ${what}; last: ${last}`);
}
