// Five hundred groups, drawn from made-up boards: live, and what is said once the server is gone.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { fits } from './looks.mjs';
import { SHOTS, browse, until } from './server.mjs';

const PREVIEW = process.env.STREAMGAUGE_PREVIEW ?? new URL('../../target/debug/examples/ui_preview', import.meta.url).pathname;

/** The preview of the pages: `url`, `end()`. */
async function preview() {
  const child = spawn(PREVIEW, ['serve', '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = new Promise((done) => child.on('exit', done));
  let out = '';
  child.stdout.on('data', (d) => { out += d; });
  const url = await until('the preview listens', () => out.match(/(http:\S+)\/incident/)?.[1]);
  return { url, end: async () => { child.kill('SIGKILL'); await gone; } };
}

const names = async (page) => (await page.locator('#groups tbody > tr > th > a').allTextContents()).map((t) => t.trim());

for (const [look, options, query] of [
  ['wide', { colorScheme: 'light' }, ''],
  ['phone', { colorScheme: 'dark', viewport: { width: 360, height: 740 }, deviceScaleFactor: 2 }, ''],
  ['korean', { colorScheme: 'light' }, '?lang=ko'],
]) {
  test(`five hundred groups are live and say when they no longer are: ${look}`, async () => {
    const server = await preview();
    const { browser, page, faults, violations } = await browse(options);
    try {
      await page.goto(`${server.url}/many/consumers${query}`);
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

test('lag events of others, and no groups at all', async () => {
  const server = await preview();
  const { browser, page } = await browse();
  try {
    await page.goto(`${server.url}/incident/consumers`);
    assert.match(await page.textContent('#only-told'), /mail-workers[\s\S]*311/);
    await page.goto(`${server.url}/incident/consumers?find=payments`);
    assert.equal(await page.locator('#only-told tr').count(), 0, 'filtered like groups');
    await page.goto(`${server.url}/empty/consumers`);
    assert.match(await page.textContent('main'), /\[\[cluster\]\]/);
    await fits(page, 'empty');
  } finally {
    await browser.close();
    await server.end();
  }
});

test('a Kafka that nobody writes to: its first page fits', async () => {
  const server = await preview();
  try {
    for (const [options, query] of [[{}, ''], [{ viewport: { width: 360, height: 740 } }, ''], [{}, '?lang=ko']]) {
      const { browser, page } = await browse(options);
      try {
        await page.goto(`${server.url}/waiting/${query}`);
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
