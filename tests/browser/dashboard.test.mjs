// The dashboard as an operator meets it: numbers move, the server goes away and comes back, no JavaScript, no violation.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fits } from './looks.mjs';
import { SHOTS, browse, freePort, history, serve, until } from './server.mjs';

const state = (page) => page.getAttribute('#conn', 'data-state');
const text = (page, selector) => page.textContent(selector);

test('the overview moves, survives a restart of the server without reload, and draws no gap as zero', async () => {
  const port = await freePort();
  let server = await serve(['demo', '--seed', '11'], { port });
  const { browser, page, faults, violations } = await browse({ colorScheme: 'dark' });
  try {
    await page.goto(server.url);
    await until('the badge says live', async () => (await state(page)) === 'live');
    const first = await text(page, '#tiles');
    await until('the tiles move', async () => (await text(page, '#tiles')) !== first);
    await page.evaluate(() => { globalThis.__same = true; });
    await server.stop('SIGKILL');
    await until('the badge says that the server is away', async () => ['reconnecting', 'stale'].includes(await state(page)));
    await page.screenshot({ path: `${SHOTS}/server-away.png` });
    const frozen = await text(page, '#tiles');
    assert.match(frozen, /[1-9]/, 'the last numbers stay; nothing drops to 0');
    server = { ...(await serve(['demo', '--seed', '11'], { dir: server.dir, port })), dir: server.dir };
    await until('the badge says live again', async () => (await state(page)) === 'live');
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

test('a page whose server is away says so with its age, lets ages grow, and is back within 5 s', async () => {
  const port = await freePort();
  let server = await serve(['demo', '--seed', '11'], { port });
  const { browser, page, faults } = await browse({ viewport: { width: 360, height: 740 } });
  const seconds = async (selector) => Number((await text(page, selector)).match(/(\d+)/)[1]);
  try {
    await history(server);
    await page.goto(`${server.url}/flows/checkout`);
    await until('the badge says live', async () => (await state(page)) === 'live');
    assert.equal(await page.isVisible('#away'), false);
    assert.equal(await page.isVisible('#pulse [data-age]'), true, 'the age of the data stands in the header of a phone');
    await fits(page, 'live');
    await server.stop('SIGKILL');
    const gone = Date.now();
    let longest = 0;
    // Whatever is tried meanwhile, the badge says for how long nothing came; no attempt is more than 5 s away.
    await until('the outage is 12 s old', async () => {
      const small = await text(page, '#conn small');
      longest = Math.max(longest, Number(small.match(/\d+/)?.[0] ?? 0));
      if (Date.now() - gone < 2_000) return false;
      assert.match(await text(page, '#conn b'), /^Stale for \d+ s$/);
      return (await seconds('#conn b')) >= 12;
    });
    assert.ok(longest >= 1 && longest <= 5, `an attempt was ${longest} s away`);
    assert.ok((await seconds('#pulse [data-age]')) >= 12, 'the age in the header counts on');
    assert.ok((await seconds('#tiles .num[data-age]')) >= 12, 'so does the tile');
    assert.match(await text(page, '#away'), /No data from the server for 1\d s: .* those of \d\d:\d\d:\d\d/);
    assert.equal(await page.isVisible('#away'), true);
    await fits(page, 'away');
    await page.screenshot({ path: `${SHOTS}/server-away-phone.png` });
    server = { ...(await serve(['demo', '--seed', '11'], { dir: server.dir, port })), dir: server.dir };
    await until('the badge says live again', async () => (await state(page)) === 'live');
    assert.equal(await page.isVisible('#away'), false);
    await until('ages are those of a server that has caught up', async () => (await seconds('#pulse [data-age]')) < 12);
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
    await history(server);
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
    await history(server);
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
    await history(server);
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

test('a stream that is made anew asks for what it missed only', async () => {
  const server = await serve(['demo', '--seed', '11']);
  const { browser, page, faults } = await browse();
  try {
    await history(server);
    await page.addInitScript(() => {
      globalThis.__streams = [];
      globalThis.EventSource = class extends EventSource {
        constructor(url) {
          super(url);
          const names = [];
          globalThis.__streams.push({ url, names });
          for (const name of ['snap', 'frag', 'hist', 'pt', 'tick']) this.addEventListener(name, () => names.length < 20 && names.push(name));
        }
      };
    });
    await page.goto(server.url);
    await until('live', async () => (await state(page)) === 'live');
    const streams = () => page.evaluate(() => globalThis.__streams);
    await until('a whole frame', async () => (await streams())[0].names.includes('tick'));
    assert.ok(!(await streams())[0].url.includes('last_event_id'));
    assert.ok((await streams())[0].names.includes('hist'));
    // A page that comes back from where a browser keeps pages makes a new stream, as one that was hidden does.
    await page.evaluate(() => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })));
    const again = await until('a second stream', async () => { const s = (await streams())[1]; return s?.names.includes('tick') && s; });
    assert.match(again.url, /&last_event_id=[^&]+-\d+$/);
    assert.ok(!again.names.includes('hist') && again.names.includes('pt'), `points, not the history: ${again.names}`);
    assert.deepEqual(faults, []);
  } finally {
    await browser.close();
    await server.end();
  }
});

test('the first page becomes the overview by itself, and forgets neither pause nor colours', async () => {
  const server = await serve([]);
  const { browser, page, faults, violations } = await browse();
  const post = (stage, outcome) => fetch(`${server.url}/transactions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ transaction_id: 'tx-1', flow: 'checkout', stage, outcome }) });
  try {
    await page.goto(server.url);
    await until('live', async () => (await state(page)) === 'live');
    await page.evaluate(() => { globalThis.__same = true; });
    await page.keyboard.press('t');
    const theme = await page.getAttribute('html', 'data-theme');
    await page.keyboard.press(' ');
    await until('paused', async () => (await state(page)) === 'paused');
    assert.equal((await post('order.placed')).status, 202);
    await until('the flow', async () => (await fetch(`${server.url}/api/v1/flows/checkout`)).status === 200);
    assert.match(await text(page, 'main'), /curl/, 'a paused page stays as it is');
    await page.keyboard.press(' ');
    await until('the overview', () => page.evaluate(() => Boolean(document.querySelector('#tiles'))));
    assert.equal((await post('order.shipped', 'ok')).status, 202);
    await until('it is live', async () => /checkout/.test(await text(page, '#flows')) && (await state(page)) === 'live');
    await until('its charts draw', async () => (await page.getAttribute('#c-throughput .shapes path.l', 'd'))?.length > 1);
    assert.equal(await page.evaluate(() => globalThis.__same), true, 'the page was not reloaded');
    assert.equal(await page.getAttribute('html', 'data-theme'), theme);
    await page.keyboard.press(' ');
    await until('paused', async () => (await state(page)) === 'paused');
    assert.deepEqual(await violations(), []);
    assert.deepEqual(faults, []);
  } finally {
    await browser.close();
    await server.end();
  }
});

test('real transactions lie on the chart and can be reached by keyboard', async () => {
  const server = await serve(['demo', '--seed', '11']);
  const { browser, page, faults } = await browse();
  try {
    await history(server);
    await page.goto(server.url);
    // Marks come and go with the ticks: each look is one, at whatever mark is there.
    await until('a mark lies on the plot', () => page.evaluate(() => {
      const find = document.querySelector('#finds li:not([hidden]) a');
      const [mark, plot] = [find.getBoundingClientRect(), document.querySelector('#c-latency .plot').getBoundingClientRect()];
      const [x, y] = [mark.x + mark.width / 2, mark.y + mark.height / 2];
      return mark.width > 0 && x >= plot.x && x <= plot.x + plot.width && y >= plot.y && y <= plot.y + plot.height;
    }));
    const focused = await until('a mark takes the focus', () => page.evaluate(() => {
      const find = document.querySelector('#finds li:not([hidden]) a');
      find.focus();
      return document.activeElement === find && { text: find.textContent, href: find.href };
    }));
    assert.match(focused.text, /\d.*(ms|s).*co-/, 'it says its latency and its id');
    assert.match(focused.href, /\/transactions\?flow=checkout&id=|\/trace\//);
    assert.deepEqual(faults, []);
  } finally {
    await browser.close();
    await server.end();
  }
});

test('a table is sorted and filtered by its address, with and without a script', async () => {
  const server = await serve(['demo', '--seed', '11']);
  const numbers = async (page) => (await page.$$eval('#sources tbody tr td:nth-child(5)', (cells) => cells.map((c) => Number(c.textContent.replaceAll(',', '')))));
  const descends = (list) => list.length > 3 && list.every((n, i) => i === 0 || n <= list[i - 1]);
  try {
    await history(server);
    for (const javaScriptEnabled of [false, true]) {
      const { browser, page, faults } = await browse({ javaScriptEnabled });
      try {
        await page.goto(`${server.url}/status`);
        await page.click('#sources thead th:nth-child(5) a');
        await page.waitForURL(/[?&]sort=position/);
        assert.equal(await page.getAttribute('#sources thead th:nth-child(5)', 'aria-sort'), 'descending');
        assert.ok(descends(await numbers(page)), `${await numbers(page)}`);
        if (javaScriptEnabled) {
          const first = await text(page, '#sources tbody');
          await until('the table moves', async () => (await text(page, '#sources tbody')) !== first);
          assert.ok(descends(await numbers(page)), 'what the stream brings is sorted, too');
          await page.keyboard.press('/');
        } else {
          await page.focus('#sources input[name="find"]');
        }
        await page.keyboard.type('payments');
        await page.keyboard.press('Enter');
        await page.waitForURL(/find=payments/);
        assert.ok(page.url().includes('sort=position'), 'the order is kept');
        const places = await page.$$eval('#sources tbody th', (cells) => cells.map((c) => c.textContent));
        assert.ok(places.length > 0 && places.every((p) => p.includes('payments')), `${places}`);
        await page.click('#sources .clear');
        await until('all of them again', async () => (await numbers(page)).length > places.length);
        assert.deepEqual(faults, []);
      } finally {
        await browser.close();
      }
    }
  } finally {
    await server.end();
  }
});
