// What an operator says and does is seen on the page: a message, a pause of one mode, of newcomers, and their end; and proof of work.

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
const world = useWorld({ settings: () => ({ ANONCAM_CONTROL: socket }) });
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

test('proof of work is asked for: pages solve it by themselves, and people meet', async () => {
  await order('pow', 'on');
  const [ann, ben] = [await world.inChromium('Ann'), await world.inChromium('Ben')];
  await ann.startText();
  await ben.startText();
  await talk(ann, ben);
  const { stdout } = await order('reports');
  assert.match(stdout, /[2-9] asked for work, [2-9] have proven it/);
  await order('pow', 'auto');
  await clean(ann, ben);
});
