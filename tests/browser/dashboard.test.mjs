// The dashboard as an operator meets it: numbers move, the server goes away and comes back, no JavaScript, no violation.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SHOTS, browse, serve, until } from './server.mjs';

const state = (page) => page.getAttribute('#conn', 'data-state');
const text = (page, selector) => page.textContent(selector);

test('the overview moves, survives a restart of the server without reload, and draws no gap as zero', async () => {
  let server = await serve(['demo', '--seed', '11']);
  const { browser, page, faults, violations } = await browse({ colorScheme: 'dark' });
  try {
    await page.goto(server.url);
    await until('the badge says live', async () => (await state(page)) === 'live');
    const first = await text(page, '#tiles');
    await until('the tiles move', async () => (await text(page, '#tiles')) !== first);
    await page.evaluate(() => { globalThis.__same = true; });
    const port = Number(new URL(server.url).port);
    await server.stop('SIGKILL');
    await until('the badge says that the server is away', async () => ['reconnecting', 'stale'].includes(await state(page)));
    await page.screenshot({ path: `${SHOTS}/server-away.png` });
    const frozen = await text(page, '#tiles');
    assert.match(frozen, /[1-9]/, 'the last numbers stay; nothing drops to 0');
    server = { ...(await serve(['demo', '--seed', '11'], { dir: server.dir, port })), dir: server.dir };
    await until('the badge says live again', async () => (await state(page)) === 'live', 40_000);
    const again = await text(page, '#tiles');
    await until('the tiles move again', async () => (await text(page, '#tiles')) !== again);
    assert.equal(await page.evaluate(() => globalThis.__same), true, 'the page was not reloaded');
    assert.deepEqual(await violations(), [], 'no CSP violation');
    assert.deepEqual(faults, [], 'no script error');
  } finally {
    await browser.close();
    await server.end();
  }
});

test('works without JavaScript', async () => {
  const server = await serve(['demo', '--seed', '11']);
  const { browser, page } = await browse({ javaScriptEnabled: false, colorScheme: 'light' });
  try {
    await until('history', async () => (await (await fetch(`${server.url}/api/v1/flows/checkout`)).status) === 200);
    await page.goto(server.url);
    const tiles = await text(page, '#tiles');
    assert.match(tiles, /[0-9]/);
    const ink = await page.getAttribute('#c-throughput .shapes path.l', 'd');
    assert.ok(ink && ink.length > 200, 'the chart has its history in the first paint');
    await page.goto(`${server.url}/flows/checkout`);
    assert.match(await text(page, 'h1'), /checkout/);
    await page.goto(`${server.url}/status`);
    assert.match(await text(page, '#sources'), /shop\.|orders|payments/);
    await page.screenshot({ path: `${SHOTS}/no-javascript.png`, fullPage: true });
  } finally {
    await browser.close();
    await server.end();
  }
});

test('first paint without layout jump', async () => {
  const server = await serve(['demo', '--seed', '11']);
  const { browser, page } = await browse();
  try {
    await until('history', async () => (await fetch(`${server.url}/api/v1/flows/checkout`)).status === 200);
    await page.addInitScript(() => {
      globalThis.__shift = 0;
      new PerformanceObserver((list) => { for (const e of list.getEntries()) globalThis.__shift += e.value; }).observe({ type: 'layout-shift', buffered: true });
    });
    await page.goto(server.url);
    await until('live', async () => (await state(page)) === 'live');
    const first = await text(page, '#tiles');
    await until('the tiles move', async () => (await text(page, '#tiles')) !== first);
    const shift = await page.evaluate(() => globalThis.__shift);
    assert.ok(shift < 0.05, `cumulative layout shift ${shift}`);
  } finally {
    await browser.close();
    await server.end();
  }
});

test('keyboard and language', async () => {
  const server = await serve(['demo', '--seed', '11']);
  const { browser, page, faults } = await browse();
  try {
    // A page that was opened before anything was read becomes another one by itself, and forgets keys.
    await until('history', async () => (await fetch(`${server.url}/api/v1/flows/checkout`)).status === 200);
    await page.goto(server.url);
    await until('live', async () => (await state(page)) === 'live');
    await page.keyboard.press('?');
    await until('help opens', () => page.evaluate(() => document.querySelector('#help').open));
    await page.keyboard.press('Escape');
    await until('help closes', () => page.evaluate(() => !document.querySelector('#help').open));
    await page.keyboard.press(' ');
    await until('paused', async () => (await state(page)) === 'paused');
    await page.keyboard.press(' ');
    await until('live again', async () => (await state(page)) === 'live');
    await page.goto(`${server.url}/?lang=ko`);
    assert.equal(await page.getAttribute('html', 'lang'), 'ko');
    assert.match(await text(page, 'main'), /[\uac00-\ud7a3]/);
    assert.deepEqual(faults, []);
  } finally {
    await browser.close();
    await server.end();
  }
});
