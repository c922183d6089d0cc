// Consumers and dead letters as an operator meets them: sort, filter, page and open by address, live, without a script.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOOKS, shoot } from './looks.mjs';
import { browse, serve, until } from './server.mjs';

const groups = async (server, query = '') => (await (await fetch(`${server.url}/api/v1/groups?partitions=false&${query}`)).json()).data.groups;

/** Waits until the demo's own consumers have been surveyed. */
const surveyed = (server) => until('groups', async () => (await groups(server)).length > 0);

test('groups are listed, sorted and filtered by address, without JavaScript', async () => {
  const server = await serve(['demo', '--seed', '11']);
  const { browser, page } = await browse({ javaScriptEnabled: false });
  try {
    await surveyed(server);
    const shown = async () => (await page.locator('#groups tbody > tr > th > a').allTextContents()).map((t) => t.trim());
    // Some of them commit for the first time only after others did.
    const names = await until('the page lists what the API lists', async () => {
      await page.goto(`${server.url}/consumers`);
      const [listed, known] = [(await shown()).sort(), (await groups(server)).map((g) => g.group).sort()];
      return listed.length > 0 && JSON.stringify(listed) === JSON.stringify(known) && known;
    });
    // A click returns before the page that it leads to is there.
    await page.click('#groups thead a:has-text("Group")');
    await page.waitForURL(/sort=/);
    assert.deepEqual(await shown(), (await shown()).sort(), 'a click sorts by name');
    assert.equal(await page.getAttribute('#groups th[aria-sort]', 'aria-sort'), 'ascending');
    await page.fill('input[name="find"]', names[0]);
    await page.click('form.lens button');
    await page.waitForURL(/find=/);
    assert.ok((await shown()).includes(names[0]));
    await page.click('#groups tbody > tr > th > a');
    await page.waitForURL(/\/consumers\/[^/]+\/[^/]+/);
    assert.match(await page.textContent('h1'), new RegExp(names[0].replace(/[.*+?^${}()|[\]\\]/g, '\\$&')));
    assert.match(await page.textContent('#group-rows'), /\d/);
    await page.goto(`${server.url}/consumers?find=no-such-group`);
    assert.equal((await shown()).length, 0);
    assert.match(await page.textContent('#groups'), /No group matches/);
  } finally {
    await browser.close();
    await server.end();
  }
});

test('the page is live and keeps what somebody types', async () => {
  const server = await serve(['demo', '--seed', '11']);
  const { browser, page, faults, violations } = await browse();
  try {
    await surveyed(server);
    await page.goto(`${server.url}/consumers`);
    await until('live', async () => (await page.getAttribute('#conn', 'data-state')) === 'live');
    const surveys = () => page.textContent('#surveys');
    const first = await surveys();
    await page.fill('input[name="find"]', 'typed');
    await until('another survey is shown', async () => (await surveys()) !== first);
    assert.equal(await page.inputValue('input[name="find"]'), 'typed');
    assert.deepEqual(await violations(), [], 'no CSP violation');
    assert.deepEqual(faults, [], 'no script error');
  } finally {
    await browser.close();
    await server.end();
  }
});

test('pages in light, dark, phone and Korean, and nothing hangs over the edge', async () => {
  const server = await serve(['demo', '--seed', '11']);
  try {
    await surveyed(server);
    const [group] = await groups(server);
    const paths = { consumers: '/consumers', group: `/consumers/${encodeURIComponent(group.cluster)}/${encodeURIComponent(group.group)}`, dlq: '/dlq' };
    for (const [look, options, query] of LOOKS) {
      const { browser, page } = await browse(options);
      try {
        for (const [name, path] of Object.entries(paths)) {
          await page.goto(`${server.url}${path}${query ? `?${query}` : ''}`);
          await shoot(page, `${name}-${look}`);
        }
      } finally {
        await browser.close();
      }
    }
  } finally {
    await server.end();
  }
});

test('empty: a server that watches nothing says what to do', async () => {
  const server = await serve([]);
  const { browser, page } = await browse();
  try {
    for (const path of ['/consumers', '/dlq']) {
      await page.goto(`${server.url}${path}`);
      assert.match(await page.textContent('main'), /\[\[(cluster|stream)\]\]|consumer commits/);
    }
  } finally {
    await browser.close();
    await server.end();
  }
});
