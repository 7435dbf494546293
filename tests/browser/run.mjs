// Runs the test files: most of a journey is waiting, so several run at once; what measures runs alone, at the end.
// node run.mjs [FILE …]   How many at once: AT_ONCE=2. Prints each file's time, and what a file that failed said.

import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';

/** Those that take longest begin first, so that no long one is left for the end. */
const FIRST = ['call.test.mjs', 'states.test.mjs', 'journeys.test.mjs', 'chat.test.mjs', 'network.test.mjs'];
/** Those that measure time. */
const ALONE = ['figures.test.mjs'];
const AT_ONCE = Number(process.env.AT_ONCE ?? 3);
/** A file that takes longer hangs. */
const LONGEST_MS = 1_800_000;

const named = process.argv.slice(2);
const files = named.length > 0 ? named : readdirSync('.').filter((name) => name.endsWith('.test.mjs'));
const rank = (file) => (FIRST.includes(file) ? FIRST.indexOf(file) : FIRST.length);
const together = files.filter((file) => !ALONE.includes(file)).sort((a, b) => rank(a) - rank(b));
const alone = files.filter((file) => ALONE.includes(file));
let failed = 0;

/** One file in a process of its own. */
async function run(file) {
  const began = Date.now();
  const child = spawn(process.execPath, ['--test', '--test-reporter=spec', `--test-timeout=${LONGEST_MS}`, file], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text));
  const status = await new Promise((resolve) => child.once('close', resolve));
  const seconds = `${((Date.now() - began) / 1000).toFixed(0)} s`.padStart(6);
  console.log(`${status === 0 ? 'ok    ' : 'FAILED'} ${seconds}  ${file}`);
  if (status === 0) for (const line of said.split('\n').filter((text) => text.startsWith('# '))) console.log(`        ${line}`);
  else {
    failed += 1;
    console.log(said);
  }
}

async function worker(queue) {
  for (let file = queue.shift(); file; file = queue.shift()) await run(file);
}

await Promise.all(Array.from({ length: AT_ONCE }, () => worker(together)));
await worker(alone);
process.exitCode = failed === 0 ? 0 : 1;
