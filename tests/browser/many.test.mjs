// Five hundred groups, from made-up boards: sorted, filtered and paged as the API says, live, and what is said once the
// server is gone.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { fits } from './looks.mjs';
import { SHOTS, browse, until } from './server.mjs';

const PREVIEW = process.env.STREAMGAUGE_PREVIEW ?? new URL('../../target/debug/examples/ui_preview', import.meta.url).pathname;

/** The product's server over a made-up scenario: `url` of its pages and API, `end()`. */
async function preview(scenario) {
  const child = spawn(PREVIEW, ['serve', '0', scenario], { stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = new Promise((done) => child.on('exit', done));
  let out = '';
  child.stdout.on('data', (d) => { out += d; });
  const url = await until('the preview listens', () => out.match(/(http:\S+)\/\n/)?.[1]);
  return { url, end: async () => { child.kill('SIGKILL'); await gone; } };
}

const names = async (page) => (await page.locator('#groups tbody > tr > th > a').allTextContents()).map((t) => t.trim());

for (const [look, options, query] of [
  ['wide', { colorScheme: 'light' }, ''],
  ['phone', { colorScheme: 'dark', viewport: { width: 360, height: 740 }, deviceScaleFactor: 2 }, ''],
  ['korean', { colorScheme: 'light' }, '?lang=ko'],
]) {
  test(`five hundred groups are live and say when they no longer are: ${look}`, async () => {
    const server = await preview('many');
    const { browser, page, faults, violations } = await browse(options);
    try {
      await page.goto(`${server.url}/consumers${query}`);
      const state = () => page.getAttribute('#conn', 'data-state');
      await until('live', async () => await state() === 'live');
      const first = await page.textContent('#surveys');
      await until('another survey is shown', async () => await page.textContent('#surveys') !== first);
      assert.equal((await names(page)).length, 100);
      await fits(page, look);
      assert.ok((await page.locator('#groups tbody > tr').first().boundingBox()).y < page.viewportSize().height, 'the worst is in sight');
      await page.screenshot({ path: `${SHOTS}/many-${look}.png` });
      assert.deepEqual(await violations(), [], 'no CSP violation');
      assert.deepEqual(faults, [], 'no script error');
      await server.end();
      await until('the page says that it is old', async () => !['live', 'connecting'].includes(await state()));
      assert.equal((await names(page)).length, 100, 'the last known groups stay');
      await page.screenshot({ path: `${SHOTS}/many-stale-${look}.png` });
    } finally {
      await browser.close();
      await server.end();
    }
  });
}

// From worst to best, as docs/SEMANTICS.md lists them from the end.
const WORST = ['LOST', 'STALLED', 'ACK_STALLED', 'STOPPED', 'ABANDONED', 'RECREATED', 'REWOUND', 'LAGGING', 'NEVER_COMMITTED', 'UNKNOWN', 'WARMING', 'IDLE', 'OK'];
const known = (value, turn) => (a, b) => {
  const [x, y] = [value(a), value(b)];
  return x === null || y === null ? (x === null) - (y === null) : turn * (x < y ? -1 : x > y ? 1 : 0);
};
/** Orders by address; what is not known comes last in both directions. */
const ORDERS = {
  '': known((g) => WORST.indexOf(g.state), 1),
  'sort=group': known((g) => g.group, 1),
  'sort=-group': known((g) => g.group, -1),
  'sort=lag': known((g) => g.lag_messages, -1),
  'sort=-lag': known((g) => g.lag_messages, 1),
  'sort=rate': known((g) => g.commits_per_second, -1),
  'sort=-members': known((g) => g.members, 1),
};

const api = async (server, query = '') => (await (await fetch(`${server.url}/api/v1/groups?partitions=false&limit=1000&${query}`)).json()).data.groups;
const rows = (page) => page.evaluate(() => {
  const words = Object.fromEntries([...document.querySelectorAll('select[name="state"] option')].map((o) => [o.label, o.value]));
  return [...document.querySelectorAll('#groups tbody > tr')].map((tr) => ({
    group: tr.querySelector('th a').textContent.trim(),
    state: words[tr.querySelector('td.state .st').textContent.trim()],
    lag: tr.querySelector('td.r').firstChild.textContent.trim(),
  }));
});
const lag = (n) => (n === null ? '\u2013' : n.toLocaleString('en-US'));

/** Looks at a page while no survey comes in between, and holds what it shows against the API. */
const agrees = (server, what, query, order, look, within = (all) => all) => until(what, async () => {
  const before = await api(server, query);
  const seen = await look();
  assert.deepEqual(await api(server, query), before, 'a survey came in between');
  const all = new Map(before.map((g) => [g.group, g]));
  const told = seen.map((r) => all.get(r.group) ?? assert.fail(`${r.group} does not belong here`));
  assert.equal(new Set(told).size, seen.length, 'none stands twice');
  assert.deepEqual(seen, told.map((g) => ({ group: g.group, state: g.state, lag: lag(g.lag_messages) })));
  told.slice(1).forEach((g, i) => assert.ok(order(told[i], g) <= 0, `${g.group} stands behind ${told[i].group}`));
  // Where several pages are cut from the whole, the first that it leaves out is no better than its last.
  const sorted = within([...before].sort(order));
  assert.equal(seen.length, sorted.length);
  sorted.forEach((g, i) => assert.ok(order(g, told[i]) === 0, `${told[i].group} in place ${i}`));
  return seen.length;
});

test('five hundred groups are sorted, filtered and paged by address as the API says, without JavaScript', async () => {
  const server = await preview('many');
  const { browser, page } = await browse({ javaScriptEnabled: false });
  try {
    for (const [query, order] of Object.entries(ORDERS)) {
      const all = async () => {
        const seen = [];
        for (let n = 1; n <= 5; n += 1) {
          await page.goto(`${server.url}/consumers?${query}&page=${n}`);
          seen.push(...await rows(page));
        }
        return seen;
      };
      assert.equal(await agrees(server, `all of them by ${query || 'what is worst'}`, '', order, all), 500);
    }
    const asked = () => new URL(page.url()).searchParams;
    await page.goto(`${server.url}/consumers?range=3600&theme=dark`);
    await page.click('#groups thead a[href*="sort=lag"]');
    await page.waitForURL(/sort=lag/);
    assert.equal(await page.getAttribute('#groups th[aria-sort]', 'aria-sort'), 'descending');
    await page.click('#groups thead a[href*="sort=-lag"]');
    await page.waitForURL(/sort=-lag/);
    assert.equal(await page.getAttribute('#groups th[aria-sort]', 'aria-sort'), 'ascending');
    await page.click('#groups a[rel="next"] >> nth=0');
    await page.waitForURL(/page=2/);
    assert.match(await page.textContent('#groups h2'), /101-200 of 500/);
    const second = (all) => all.slice(100, 200);
    await agrees(server, 'the second page', '', ORDERS['sort=-lag'], async () => { await page.reload(); return rows(page); }, second);
    await page.fill('input[name="find"]', 'MAILER');
    await page.selectOption('select[name="state"]', 'STOPPED');
    await page.click('form.lens button');
    await page.waitForURL(/find=MAILER/);
    assert.deepEqual(['sort', 'state', 'page', 'range', 'theme'].map((k) => asked().get(k)), ['-lag', 'STOPPED', null, '3600', 'dark'], 'what else was asked stays, the page is the first');
    const few = await agrees(server, 'a filter', 'find=mailer&state=stopped', ORDERS['sort=-lag'], async () => { await page.reload(); return rows(page); });
    assert.ok(few > 1 && few < 100, `${few} are found`);
    assert.match(await page.textContent('#groups h2'), new RegExp(`1-${few} of ${few} that match, 500 in all`));
    const chips = (await page.locator('#group-states a').allTextContents()).map((t) => Number(t.match(/(\d+)\s*$/)[1]));
    assert.equal(chips.reduce((a, b) => a + b), (await api(server, 'find=mailer')).length, 'states count what the name finds');
    await page.click('form.lens .clear');
    await page.waitForURL((url) => !url.searchParams.has('find'));
    assert.deepEqual(['sort', 'state', 'theme'].map((k) => asked().get(k)), [null, null, 'dark']);
    await page.goto(`${server.url}/consumers?stream=refunds&state=LAGGING`);
    await agrees(server, 'those of a stream', 'stream=refunds&state=LAGGING', ORDERS[''], () => rows(page));
  } finally {
    await browser.close();
    await server.end();
  }
});

test('a Kafka that nobody writes to: its first page fits', async () => {
  const server = await preview('waiting');
  try {
    for (const [options, query] of [[{}, ''], [{ viewport: { width: 360, height: 740 } }, ''], [{}, '?lang=ko']]) {
      const { browser, page } = await browse(options);
      try {
        await page.goto(`${server.url}/${query}`);
        assert.match(await page.textContent('#attention .calm'), /latest|\ucd5c\uc2e0/);
        await fits(page, `waiting ${JSON.stringify(options)} ${query}`);
      } finally {
        await browser.close();
      }
    }
  } finally {
    await server.end();
  }
});

test('a sorted, filtered page goes on being live, in order, at its address', async () => {
  const server = await preview('many');
  const { browser, page, faults, violations } = await browse();
  const query = 'sort=lag&stream=orders';
  const first = (all) => all.slice(0, 100);
  try {
    await page.goto(`${server.url}/consumers?${query}`);
    await until('live', async () => (await page.getAttribute('#conn', 'data-state')) === 'live');
    await page.evaluate(() => { globalThis.__same = true; });
    await page.fill('input[name="find"]', 'typed');
    for (let survey = 0; survey < 2; survey += 1) {
      const before = JSON.stringify(await rows(page));
      await until('a survey brings another order', async () => JSON.stringify(await rows(page)) !== before);
      await agrees(server, 'the order after a survey', 'stream=orders', ORDERS['sort=lag'], () => rows(page), first);
    }
    assert.equal(await page.inputValue('input[name="find"]'), 'typed', 'what somebody types stays');
    assert.equal(await page.evaluate(() => globalThis.__same), true, 'without a reload');
    await page.click('#groups a[rel="next"] >> nth=0');
    await page.waitForURL(/page=2/);
    await until('live', async () => (await page.getAttribute('#conn', 'data-state')) === 'live');
    const before = JSON.stringify(await rows(page));
    await until('a survey brings another second page', async () => JSON.stringify(await rows(page)) !== before);
    await agrees(server, 'the second page after a survey', 'stream=orders', ORDERS['sort=lag'], () => rows(page), (all) => all.slice(100, 200));
    assert.deepEqual(['sort', 'stream', 'page'].map((k) => new URL(page.url()).searchParams.get(k)), ['lag', 'orders', '2']);
    assert.deepEqual(await violations(), [], 'no CSP violation');
    assert.deepEqual(faults, [], 'no script error');
  } finally {
    await browser.close();
    await server.end();
  }
});

test('lag events of others, and no groups at all', async () => {
  const [server, nothing] = await Promise.all([preview('incident'), preview('empty')]);
  const { browser, page } = await browse();
  try {
    await page.goto(`${server.url}/consumers`);
    assert.match(await page.textContent('#only-told'), /mail-workers[\s\S]*311/);
    await page.goto(`${server.url}/consumers?find=payments`);
    assert.equal(await page.locator('#only-told tr').count(), 0, 'filtered like groups');
    await page.goto(`${nothing.url}/consumers`);
    assert.match(await page.textContent('main'), /\[\[cluster\]\]/);
    await fits(page, 'empty');
  } finally {
    await browser.close();
    await Promise.all([server.end(), nothing.end()]);
  }
});
