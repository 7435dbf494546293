// What an operator says and does is seen on the page: a message, a pause of one mode, of newcomers, and their end; proof of work.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { talk } from './person.mjs';
import { BINARY } from './server.mjs';
import { clean, useWorld } from './world.mjs';

const folder = mkdtempSync(join(tmpdir(), 'anoncam-operator-'));
const socket = join(folder, 'control.sock');
const world = useWorld({ firefox: true, settings: () => ({ ANONCAM_CONTROL: socket }) });
after(() => rmSync(folder, { recursive: true, force: true }));

const order = (...words) => promisify(execFile)(BINARY, [...words, '--control', socket]);

/** What stands above the tiles; empty if nothing does. */
const notice = (person) => person.evaluate(() => {
  const { hidden, innerText } = document.getElementById('notice');
  return hidden ? '' : innerText.replace(/\s*×\s*/, '');
});

test('a message is shown as the text that it is, is put away, and stays away until there is another', async () => {
  const hostile = '<img src=x onerror="document.title=1"> Back at <b>10</b> UTC';
  await order('message', hostile);
  const ann = await world.inChromium('Ann');
  await ann.until(() => !document.getElementById('notice').hidden, 'the message is there before anything is started');
  assert.equal(await notice(ann), hostile);
  assert.equal(await ann.evaluate(() => document.querySelectorAll('#notice :not(div, p, button)').length), 0, 'text and nothing else');
  await ann.click('#notice button');
  await ann.startText();
  await ann.phase('searching');
  assert.equal(await notice(ann), '', 'read once is enough');
  await order('message', 'Now at 11');
  await ann.click('#stop');
  await ann.page.goBack();
  await ann.startText();
  await ann.until(() => document.getElementById('notice').innerText.includes('Now at 11'), 'another one is shown');
  await clean(ann);
});

test('video is paused: said before the start, to who waits and to who asks; text goes on, and so does video afterwards', async () => {
  const [ann, ben] = [await world.inChromium('Ann'), await world.inChromium('Ben')];
  await ann.startVideo();
  await ann.until(() => document.getElementById('status-text').textContent.includes('online'), 'waits');
  await order('pause', 'video');
  await ann.problem('paused');
  assert.equal((await ann.state()).title, 'Video chats are paused.');
  await ben.startText();
  await ben.until(() => document.getElementById('notice').innerText.includes('Video chats are paused.'), 'said above the tiles, too');
  await ben.phase('searching');
  await ann.click('#actions .primary');
  await ann.problem('paused');
  await order('resume');
  await ann.click('#actions .primary');
  await ann.phase('searching');
  await ann.until(() => document.getElementById('status-text').textContent.includes('online'), 'waits again');
  await clean(ann, ben);
});

test('newcomers are paused: who is in goes on, who comes is told', async () => {
  const [ann, ben] = [await world.inChromium('Ann'), await world.inChromium('Ben')];
  await ann.startText();
  await ben.startText();
  await talk(ann, ben);
  await order('pause', 'new');
  const cleo = await world.inChromium('Cleo');
  await cleo.until(() => document.getElementById('notice').innerText.includes('Nobody new is let in for now.'), 'said before the start');
  await cleo.startText();
  await cleo.problem('paused');
  await talk(ann, ben, 'still here');
  await clean(ann, ben, cleo);
});

/** Writes down what the page says while it searches, when, and the workers that it starts. */
function watchWork() {
  globalThis.said = [];
  globalThis.workers = 0;
  const Native = globalThis.Worker;
  globalThis.Worker = class extends Native {
    constructor(...values) {
      super(...values);
      globalThis.workers += 1;
    }
  };
  addEventListener('DOMContentLoaded', () => {
    const text = document.getElementById('status-text');
    new MutationObserver(() => globalThis.said.push([text.textContent, performance.now()])).observe(text, { childList: true });
  });
}

function withoutWorkers() {
  delete globalThis.Worker;
}

/** How long the page said that it checks, in milliseconds. */
const provedForMs = (person) => person.evaluate(() => {
  const from = globalThis.said.findIndex(([text]) => text.startsWith('Checking that you are not a machine'));
  return from < 0 ? null : globalThis.said[from + 1][1] - globalThis.said[from][1];
});

test('newcomers have to prove work: each browser does it in a worker, says so, and gets in', async () => {
  await order('pow', 'on');
  const ann = await world.inChromium('Ann', { prepare: (page) => page.addInitScript(watchWork) });
  const ben = await world.inFirefox('Ben', { prepare: (page) => page.evaluateOnNewDocument(watchWork) });
  for (const person of [ann, ben]) {
    await person.startText();
    await person.until(() => globalThis.said.length > 1 && globalThis.workers === 1 && !globalThis.said.at(-1)[0].startsWith('Checking'), 'has proven work in a worker');
  }
  await talk(ann, ben);
  assert.match((await order('reports')).stdout, /[2-9] asked for work, [2-9] have proven it/);
  console.log(`# proof of work, connection included: ${Math.round(await provedForMs(ann))} ms in Chromium, ${Math.round(await provedForMs(ben))} ms in Firefox`);
  await clean(ann, ben);
});

test('without workers the page does the work itself; who stops is asked for nothing more', async () => {
  await order('pow', 'on');
  const [ann, ben] = [await world.inChromium('Ann', { prepare: (page) => page.addInitScript(withoutWorkers) }), await world.inChromium('Ben')];
  // Nobody else is there yet: Ben is stopped while he proves, or while he waits.
  await ben.startText();
  await ben.click('#stop');
  await ben.phase('stopped');
  await ben.click('#actions .primary');
  await ben.until(() => document.getElementById('status-text').textContent.includes('online'), 'waits again');
  await ann.startText();
  await talk(ann, ben);
  await clean(ann, ben);
});

test('a report has a case code; the operator bans by it; the page says why, until when, and what to name in an appeal', async () => {
  const [ann, ben] = [await world.inChromium('Ann'), await world.inFirefox('Ben')];
  await ann.startText();
  await ben.startText();
  await talk(ann, ben);
  await ann.click('#report');
  await ann.click('#dialog-body button:nth-of-type(3)');
  await ann.until(() => document.getElementById('status-title').textContent.startsWith('Reported'), 'reported');
  const code = /[2-9A-Z]{3}-[2-9A-Z]{3}/.exec((await ann.state()).text)[0];
  await ben.phase('over');
  await ben.click('#actions .primary');
  await ben.phase('searching');
  await order('ban', code);
  await ben.problem('banned');
  const { title, text } = await ben.state();
  assert.equal(title, 'You cannot chat for now.');
  assert.match(text, /^The operator of this site has decided so\. Until .*\d.*\n.*address of this network.*\nTo appeal, name [0-9A-Z-]+ to the operator\.$/s);
  assert.deepEqual(await ben.evaluate(() => [...document.querySelectorAll('#actions button')].map((one) => one.textContent)), ['Back'], 'trying again would be in vain');
  await clean(ann, ben);
});
