// The page's figures: bytes of the first view, first paint, Lighthouse, and that a site sends exactly the published files.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import lighthouse from 'lighthouse';
import { compressedBytes, firstView, LIMIT_BYTES } from './budget.mjs';
import { launchChromium } from './browsers.mjs';
import { freeTcpPort } from './server.mjs';
import { useWorld } from './world.mjs';

const FIRST_PAINT_MS = 500;
const world = useWorld();

test(`the first view has at most ${LIMIT_BYTES} bytes of JavaScript and CSS, as sent`, async () => {
  const ann = await world.inChromium('Ann');
  const files = firstView();
  const asked = await ann.evaluate(() => performance.getEntriesByType('resource').map(({ name, encodedBodySize }) => [new URL(name).pathname, encodedBodySize]));
  const sent = asked.filter(([path]) => /\.(js|css)$/.test(path));
  assert.deepEqual(sent.map(([path]) => path).sort(), [...files].sort(), 'the list of files is right');
  const bytes = sent.reduce((sum, [, size]) => sum + size, 0);
  const alone = files.reduce((sum, path) => sum + compressedBytes(path), 0);
  console.log(`# first view: ${bytes} bytes sent, ${alone} at brotli 11, ${LIMIT_BYTES} allowed`);
  assert.ok(Math.max(bytes, alone) <= LIMIT_BYTES);
});

test(`first contentful paint: printed, ${FIRST_PAINT_MS} ms is the aim, four times that fails`, async () => {
  const times = [];
  for (let round = 0; round < 5; round += 1) {
    const ann = await world.inChromium(`Ann${round}`);
    await ann.until(() => performance.getEntriesByName('first-contentful-paint').length > 0, 'painted');
    times.push(await ann.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime));
    await world.leave();
  }
  times.sort((a, b) => a - b);
  console.log(`# first contentful paint: ${Math.round(times[0])} ms at best, ${Math.round(times[2])} ms in the median of 5`);
  // The figure is what is printed. A busy machine may take longer; four times as long would be the page's own fault.
  assert.ok(times[0] < 4 * FIRST_PAINT_MS);
});

test('Lighthouse, mobile preset: 100 in accessibility and best practices; performance is printed, under 90 fails', async () => {
  const port = await freeTcpPort();
  const browser = await launchChromium([`--remote-debugging-port=${port}`]);
  try {
    const run = async () => {
      const { lhr } = await lighthouse(world.server.origin, { port, onlyCategories: ['performance', 'accessibility', 'best-practices'], logLevel: 'silent' });
      const scores = Object.fromEntries(Object.values(lhr.categories).map(({ id, score }) => [id, Math.round(score * 100)]));
      const missed = Object.values(lhr.audits).filter(({ score, scoreDisplayMode }) => score !== null && score < 1 && scoreDisplayMode !== 'informative').map(({ id, displayValue }) => `${id} ${displayValue ?? ''}`);
      return { scores, missed };
    };
    // Performance is a measurement on a shared machine: the best of three is printed, and a slow machine is no failure.
    const runs = [await run()];
    while (runs.length < 3 && runs.at(-1).scores.performance < 100) runs.push(await run());
    const best = runs.sort((a, b) => b.scores.performance - a.scores.performance)[0];
    console.log(`# Lighthouse: ${JSON.stringify(best.scores)}`);
    const { performance, ...rest } = best.scores;
    assert.deepEqual(rest, { accessibility: 100, 'best-practices': 100 }, best.missed.join('\n'));
    assert.ok(performance >= 90, best.missed.join('\n'));
  } finally {
    await browser.close();
  }
});

test('the site sends exactly the published files, and lists their sums', async () => {
  const tool = fileURLToPath(new URL('../../client-js/tools/sums.mjs', import.meta.url));
  const run = promisify(execFile);
  const { stdout: listed } = await run('node', [tool]);
  assert.equal(await (await fetch(`${world.server.origin}/SHA256SUMS`)).text(), listed);
  const { stdout: compared } = await run('node', [tool, world.server.origin]);
  assert.match(compared, /all \d+ files are the published ones/);
});
