// The privacy policy as the server writes it for its operator: readable, accessible, and told of on the first page when it has changed.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { PATIENCE_MS } from './browsers.mjs';
import { BINARY } from './server.mjs';
import { clean, useWorld } from './world.mjs';

const folder = mkdtempSync(join(tmpdir(), 'anoncam-policy-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const OPERATOR = { name: 'Example <b>& Daughters</b>', country: 'Ireland', contact: 'privacy@chat.example' };

/** An operator who has read the text and adopted it. */
const world = useWorld({ settings: async () => {
  const file = join(folder, 'anoncam.toml');
  writeFileSync(file, `[operator]\n${Object.entries(OPERATOR).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`).join('')}`);
  const { stdout } = await promisify(execFile)(BINARY, ['policy', file]);
  const adopted = /policy = "(.*)"/.exec(stdout)[1];
  return {
    ...Object.fromEntries(Object.entries(OPERATOR).map(([key, value]) => [`ANONCAM_OPERATOR_${key.toUpperCase()}`, value])),
    ANONCAM_OPERATOR_POLICY: adopted,
  };
} });

test('the first page says that the policy has changed, and leads to it', async () => {
  const ann = await world.inChromium('Ann');
  await ann.until(() => document.getElementById('notice').innerText.startsWith('The privacy policy changed on'), 'a notice');
  await ann.page.goto(`${world.server.binaryOrigin}${await ann.evaluate(() => document.querySelector('#notice a').getAttribute('href'))}`);
  await ann.until(() => document.querySelector('#settings select') !== null, 'the policy');
  assert.ok(await ann.evaluate((name) => document.querySelector('main').innerText.includes(name), OPERATOR.name), 'the operator is named, as text');
  await clean(ann);
});

test('the policy: short in the reader’s language, whole in thirteen sections, accessible, and no wider than a phone', async () => {
  for (const [lang, width, colorScheme, short] of [['en', 1280, 'light', 'Privacy, in short'], ['ar', 390, 'dark', 'الخصوصية باختصار'], ['de', 320, 'light', 'Datenschutz, kurz gefasst']]) {
    // axe has to be put into the page, which the page's own policy rightly forbids.
    const context = await world.chromium.newContext({ viewport: { width, height: 800 }, colorScheme, bypassCSP: true });
    context.setDefaultTimeout(PATIENCE_MS);
    const page = await context.newPage();
    await page.goto(`${world.server.binaryOrigin}/privacy?lang=${lang}`);
    await page.waitForFunction((title) => document.querySelector('h1').textContent === title, short);
    const seen = await page.evaluate(() => ({
      sections: [...document.querySelectorAll('main [lang=en] h2, main h2[lang=en]')].filter((one) => /^\d+\. /.test(one.textContent)).length,
      wider: document.documentElement.scrollWidth - innerWidth,
    }));
    assert.deepEqual(seen, { sections: 13, wider: 0 }, lang);
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
    assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes[0].target}`), [], lang);
    await context.close();
  }
});
