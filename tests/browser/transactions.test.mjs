// One transaction as somebody meets it at 3 a.m.: found by its id, from a letter, from what waits; live while it goes on.
import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { LOOKS, shoot } from './looks.mjs';
import { browse, history, serve, until } from './server.mjs';

const post = async (server, event) => {
  const answer = await fetch(`${server.url}/transactions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(event) });
  assert.equal(answer.status, 202, await answer.text());
};
const address = (flow, id) => `/transactions?flow=${encodeURIComponent(flow)}&id=${encodeURIComponent(id)}`;
const known = (server, flow, id) => until(`${id} is known`, async () => (await fetch(`${server.url}/api/v1${address(flow, id)}`)).status === 200);

test('one transaction is found by its id and followed to its end', async () => {
  const server = await serve([]);
  const { browser, page, faults, violations } = await browse();
  const id = 'tx 1/<b>&\u{ac00}';
  try {
    await post(server, { transaction_id: id, flow: 'checkout', stage: 'order.placed' });
    await known(server, 'checkout', id);
    // The engine answers at once; the form lists the flows of the newest snapshot.
    await until('the flow is listed', async () => (await (await fetch(`${server.url}/transactions`)).text()).includes('>checkout</option>'));
    await page.goto(`${server.url}/transactions`);
    await until('live', async () => (await page.getAttribute('#conn', 'data-state')) === 'live');
    await page.keyboard.press('/');
    await page.keyboard.type(id);
    await page.keyboard.press('Enter');
    await page.waitForURL(/id=/);
    assert.equal((await page.textContent('h1 .mono')).trim(), id);
    assert.match(await page.textContent('h1'), /In flight/);
    await page.evaluate(() => { globalThis.__same = true; });
    await post(server, { transaction_id: id, flow: 'checkout', stage: 'order.shipped', outcome: 'ok' });
    await until('it has ended', async () => /Ended ok/.test(await page.textContent('h1')));
    assert.equal(await page.locator('#events tbody tr').count(), 2);
    assert.equal(await page.evaluate(() => globalThis.__same), true, 'without a reload');
    assert.deepEqual(await violations(), []);
    assert.deepEqual(faults, []);
  } finally {
    await browser.close();
    await server.end();
  }
});

test('letters and what waits lead to their transaction, without JavaScript', async () => {
  const server = await serve(['demo', '--seed', '11']);
  const { browser, page } = await browse({ javaScriptEnabled: false });
  try {
    await history(server);
    await page.goto(`${server.url}/transactions`);
    assert.equal(await page.locator('meta[http-equiv="refresh"]').count(), 0, 'nobody is interrupted while typing');
    const link = page.locator('#waiting tbody th a').first();
    const id = (await link.textContent()).trim();
    await link.click();
    assert.equal((await page.textContent('h1 .mono')).trim(), id);
    assert.ok([200, 404].includes((await fetch(page.url())).status), 'it may have ended meanwhile');
    const letters = await until('letters', async () => {
      const streams = (await (await fetch(`${server.url}/api/v1/dlq`)).json()).data.streams;
      return streams.find((s) => s.newest.some((l) => l.transaction_id));
    }, 60_000);
    await page.goto(`${server.url}/dlq/${letters.cluster}/${letters.stream}`);
    await page.locator('#dlq-letters td a[href*="/transactions?"]').first().click();
    assert.match(await page.textContent('#letters'), /@/, 'its letters stand on its page');
    await page.goto(`${server.url}${address('checkout', 'no-such-transaction')}`);
    assert.match(await page.textContent('main'), /Nothing is known of this transaction/);
    assert.equal(await page.inputValue('input[name="id"]'), 'no-such-transaction');
  } finally {
    await browser.close();
    await server.end();
  }
});

test('transactions in every look, and nothing hangs over the edge', async () => {
  const server = await serve(['demo', '--seed', '11']);
  try {
    await history(server);
    const flow = async () => (await (await fetch(`${server.url}/api/v1/flows/checkout`)).json()).data;
    const waits = await until('one waits', async () => (await flow()).oldest_in_flight);
    const windows = (await flow()).windows;
    const ended = Object.values(windows).flatMap((w) => Object.values(w.latency_seconds)).flatMap((l) => l.exemplars ?? []);
    const letter = await until('a letter', async () => {
      const streams = (await (await fetch(`${server.url}/api/v1/dlq`)).json()).data.streams;
      return streams.flatMap((s) => s.newest).find((l) => l.transaction_id);
    }, 60_000);
    for (const [look, options, query] of LOOKS) {
      const { browser, page } = await browse(options);
      try {
        for (const [name, path] of [
          ['waits', address('checkout', waits.transaction_id)],
          ['ended', address('checkout', ended[0].transaction_id)],
          ['dead', address(letter.flow, letter.transaction_id)],
          ['unknown', address('checkout', 'nobody')],
          ['find', '/transactions?'],
        ]) {
          await page.goto(`${server.url}${path}&${query}`);
          await shoot(page, `transaction-${name}-${look}`);
        }
      } finally {
        await browser.close();
      }
    }
  } finally {
    await server.end();
  }
});

test('a peek: the record with its secrets masked', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'streamgauge-'));
  const config = join(dir, 'streamgauge.toml');
  // What is posted here are letters: the stream of the events is one of dead letters.
  writeFileSync(config, `[[cluster]]
name = "main"
kind = "embedded"
[[stream]]
cluster = "main"
name = "orders.dlq"
role = "dlq"
[publish]
cluster = "main"
stream = "orders.dlq"
[dlq]
peek = true
`);
  const server = await serve(['--config', config], { dir: join(dir, 'data') });
  const { browser, page, faults, violations } = await browse();
  try {
    for (let n = 0; n < 12; n += 1) {
      await post(server, { transaction_id: `t${n}`, flow: 'checkout', stage: 'payment', status: 'failed', error: { code: 'card_declined', message: 'no' }, attributes: { card: '4111111111111111' } });
    }
    await until('the letters are counted', async () => (await (await fetch(`${server.url}/api/v1/dlq`)).json()).data.streams.some((s) => s.retained === 12), 40_000);
    await page.goto(`${server.url}/dlq/main/orders.dlq`);
    await shoot(page, 'letters-stream');
    await page.goto(`${server.url}/peek?cluster=main&stream=orders.dlq&partition=0&position=3`);
    await page.click('form.guarded button');
    await until('the record', async () => (await page.locator('.record').count()) === 1);
    assert.ok(!(await page.textContent('.record')).includes('4111111111111111'), 'a card number is masked');
    await shoot(page, 'letters-peek');
    assert.deepEqual(await violations(), []);
    assert.deepEqual(faults, []);
  } finally {
    await browser.close();
    await server.end();
  }
});

test('a redrive: counted first, confirmed, told in both languages', async () => {
  const server = await serve(['demo', '--seed', '11']);
  const { browser, page, faults, violations } = await browse();
  try {
    const letters = await until('letters that fail somewhere', async () => {
      const streams = (await (await fetch(`${server.url}/api/v1/dlq`)).json()).data.streams;
      return streams.find((s) => s.unhandled > 0 && s.newest.some((l) => l.source));
    }, 60_000);
    await page.goto(`${server.url}/dlq/${letters.cluster}/${letters.stream}/redrive`);
    await page.click('button[value="dry_run"]');
    await until('the dry run has counted', async () => (await page.locator('#run button[value="start"]').count()) === 1, 30_000);
    await shoot(page, 'redrive-counted');
    await page.goto(`${page.url()}${page.url().includes('?') ? '&' : '?'}lang=ko`);
    assert.match(await page.textContent('#run'), /\uc870\ud68c\ud588\uc2b5\ub2c8\ub2e4/, 'notes speak Korean');
    await shoot(page, 'redrive-counted-korean');
    await page.setViewportSize({ width: 360, height: 740 });
    await shoot(page, 'redrive-counted-phone');
    await page.click('#run button[value="start"]');
    await until('it has moved them', async () => (await page.locator('#run').count()) === 1 && (await page.locator('#run button').count()) === 0, 60_000);
    await shoot(page, 'redrive-moved-phone');
    assert.deepEqual(await violations(), []);
    assert.deepEqual(faults, []);
  } finally {
    await browser.close();
    await server.end();
  }
});

test('a flow that is first seen later can be chosen at once, and what is chosen stays', async () => {
  const server = await serve([]);
  const { browser, page, faults } = await browse();
  const flows = () => page.locator('#flow-names option').evaluateAll((all) => all.map((o) => o.value));
  try {
    await page.goto(`${server.url}/transactions`);
    await until('live', async () => (await page.getAttribute('#conn', 'data-state')) === 'live');
    assert.deepEqual(await flows(), ['']);
    await post(server, { transaction_id: 'tx-1', flow: 'checkout', stage: 'order.placed' });
    await until('the only flow is chosen', async () => (await page.inputValue('#flow-names')) === 'checkout');
    await post(server, { transaction_id: 'tx-2', flow: 'billing', stage: 'sent' });
    await until('another one can be chosen', async () => (await flows()).join() === ',billing,checkout');
    assert.equal(await page.inputValue('#flow-names'), 'checkout');
    await page.selectOption('#flow-names', 'billing');
    await post(server, { transaction_id: 'tx-3', flow: 'audit', stage: 'sent' });
    await until('a third one', async () => (await flows()).join() === ',audit,billing,checkout');
    assert.equal(await page.inputValue('#flow-names'), 'billing', 'what a person chose stays');
    // One whose flow nobody has heard of: it stays in the form.
    await page.goto(`${server.url}${address('ghost', 'tx-4')}`);
    await until('live', async () => (await page.getAttribute('#conn', 'data-state')) === 'live');
    await post(server, { transaction_id: 'tx-5', flow: 'zeal', stage: 'sent' });
    await until('a fourth one', async () => (await flows()).includes('zeal'));
    assert.equal(await page.inputValue('#flow-names'), 'ghost');
    assert.deepEqual(faults, []);
  } finally {
    await browser.close();
    await server.end();
  }
});
