// Screenshots of every page in the states that matter: to be looked at by people, kept in .cache/screenshots.
import assert from 'node:assert/strict';
import { mkdtempSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { LOOKS, shoot } from './looks.mjs';
import { SHOTS, browse, history, serve, until } from './server.mjs';

test('pages in light, dark, phone, Korean, high contrast', async () => {
  const server = await serve(['demo', '--seed', '11']);
  try {
    await history(server);
    for (const [look, options, query] of LOOKS) {
      const { browser, page } = await browse(options);
      try {
        for (const path of ['/', '/flows/checkout', '/status']) {
          await page.goto(`${server.url}${path}${query ? `?${query}` : ''}`);
          await until('live', async () => (await page.getAttribute('#conn', 'data-state')) === 'live');
          await shoot(page, `${path === '/' ? 'overview' : path.split('/')[1]}-${look}`);
        }
      } finally {
        await browser.close();
      }
    }
  } finally {
    await server.end();
  }
});

// The picture of the README; tests/browser/picture copies it to docs/overview.png.
test('picture: the overview while payments are slow', async () => {
  const server = await serve(['demo', '--seed', '11']);
  const { browser, page } = await browse({ colorScheme: 'light' });
  try {
    await page.goto(server.url);
    await until('payments are slow and transactions wait', () => page.evaluate(() => {
      const said = document.querySelector('#attention')?.textContent ?? '';
      return /payment\.authorized/.test(said) && document.querySelector('#tiles .tile:nth-child(2).warn') && document.querySelector('#conn')?.dataset.state === 'live';
    }), 600_000);
    const path = `${SHOTS}/picture.png`;
    await page.screenshot({ path, fullPage: true });
    const { size } = statSync(path);
    assert.ok(size > 30_000, `an empty picture: ${size} bytes`); // how large it may be is asked where it is committed
  } finally {
    await browser.close();
    await server.end();
  }
});

test('empty: the first page of a server without configuration', async () => {
  const server = await serve([]);
  const { browser, page } = await browse();
  try {
    await page.goto(server.url);
    assert.match(await page.textContent('main'), /curl/);
    await shoot(page, 'empty');
    await page.goto(`${server.url}/flows/no-such-flow`);
    await shoot(page, 'not-found');
  } finally {
    await browser.close();
    await server.end();
  }
});

test('unreachable: a Kafka that is not there is named, and nothing is shown as zero', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'streamgauge-'));
  const config = join(dir, 'streamgauge.toml');
  writeFileSync(config, '[[cluster]]\nname = "main"\nkind = "kafka"\nbootstrap_servers = "127.0.0.1:1"\n[[stream]]\ncluster = "main"\nname = "orders"\n');
  const server = await serve(['--config', config], { dir: join(dir, 'data') });
  const { browser, page } = await browse();
  try {
    await until('the cluster is known to be away', async () => {
      const ready = await fetch(`${server.url}/readyz`);
      assert.equal(ready.status, 200, 'a cluster that is down never makes the dashboard unready');
      await page.goto(`${server.url}/status`);
      return /127\.0\.0\.1:1|unreachable|cannot/i.test(await page.textContent('main'));
    });
    await shoot(page, 'unreachable-status');
    await page.goto(server.url);
    await shoot(page, 'unreachable-overview');
  } finally {
    await browser.close();
    await server.end();
  }
});
