// The whole path in real browsers: text between Chromium and Firefox, video between two pages, next, close, a restarted server.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { talk } from './person.mjs';
import { clean, useWorld } from './world.mjs';

const world = useWorld({ firefox: true });
const inChromium = (name, options) => world.inChromium(name, options);
const inFirefox = (name) => world.inFirefox(name);

test('text between Chromium and Firefox', async () => {
  const [ann, ben] = [await inChromium('Ann'), await inFirefox('Ben')];
  await ann.startText();
  await ann.phase('searching');
  await ben.startText();
  await talk(ann, ben);
  await ann.until(() => document.querySelector('#log .mine .tick').textContent === 'delivered', 'the tick tells of delivery');
  await ann.click('#stop');
  await ann.phase('stopped');
  await ben.phase('over');
  assert.deepEqual(await ann.transcript(), [], 'the transcript is gone');
  await clean(ann, ben);
});

test('text between Firefox and Firefox', async () => {
  const [ann, ben] = [await inFirefox('Ann'), await inFirefox('Ben')];
  await ann.startText();
  await ben.startText();
  await talk(ann, ben);
  await clean(ann, ben);
});

test('video between two Chromium pages: pixels arrive, veiled and muted until a click', async () => {
  const [ann, ben] = [await inChromium('Ann'), await inChromium('Ben')];
  await ann.startVideo();
  await ben.startVideo();
  await Promise.all([ann.phase('chat'), ben.phase('chat')]);
  await Promise.all([ann.sees(), ben.sees()]);
  const veiled = () => ({ veiled: document.getElementById('remote').classList.contains('veiled'), muted: document.getElementById('remote').muted });
  assert.deepEqual(await ann.evaluate(veiled), { veiled: true, muted: true });
  await ann.click('#veil');
  assert.deepEqual(await ann.evaluate(veiled), { veiled: false, muted: false });
  assert.deepEqual(await ben.evaluate(veiled), { veiled: true, muted: true });
  await ann.until(() => /direct.*connection/.test(document.getElementById('badges').textContent), 'badges say how the video travels, and how well');
  await talk(ann, ben);
  await ann.click('#camera');
  await ben.until(() => document.getElementById('badges').textContent.includes('camera is off'), 'the stranger sees that the camera is off');
  await ann.click('#microphone');
  await ben.until(() => document.getElementById('badges').textContent.includes('Muted'), 'the stranger sees that the microphone is off');
  await ann.click('#stop');
  await ann.until(() => document.getElementById('self').srcObject === null, 'the own camera is off');
  await ben.phase('over');
  await clean(ann, ben);
});

test('video between Chromium and Firefox', async () => {
  const [ann, ben] = [await inChromium('Ann'), await inFirefox('Ben')];
  await ann.startVideo();
  await ben.startVideo();
  await Promise.all([ann.sees(), ben.sees()]);
  await clean(ann, ben);
});

test('next: the one before learns of it, the transcript is gone, and the next chat is another', async () => {
  const [ann, ben, cleo] = [await inChromium('Ann'), await inChromium('Ben'), await inFirefox('Cleo')];
  await ann.startText();
  await ben.startText();
  await talk(ann, ben);
  await cleo.startText();
  await ann.next();
  await ben.phase('over');
  assert.deepEqual(await ben.transcript(), ['theirs: hello from Ann', 'mine: hello from Ben'], 'who was left may still read');
  await talk(ann, cleo, 'again');
  assert.deepEqual(await ann.transcript(), ['mine: again from Ann', 'theirs: again from Cleo']);
  await clean(ann, ben, cleo);
});

test('Esc twice is next; once is not, nor too soon after a match', async () => {
  const [ann, ben] = [await inChromium('Ann'), await inChromium('Ben')];
  await ann.startText();
  await ben.startText();
  await ann.phase('chat');
  await ann.page.keyboard.press('Escape');
  await ann.page.keyboard.press('Escape');
  await talk(ann, ben);
  await ann.page.waitForTimeout(700); // The guard against a late tap is a time, so time has to pass.
  await ann.evaluate(() => {
    for (let press = 0; press < 2; press += 1) document.getElementById('text').dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', isComposing: true, bubbles: true }));
  });
  await talk(ann, ben, 'an input method was closed');
  await ann.page.keyboard.press('Escape');
  await ann.until(() => document.getElementById('status-text').textContent.includes('Esc again'), 'a hint');
  await ann.page.keyboard.press('Escape');
  await ann.phase('searching');
  await ben.phase('over');
});

test('another language in mid-chat: everything that is said changes, and the chat goes on', async () => {
  const [ann, ben] = [await inChromium('Ann'), await inFirefox('Ben')];
  await ann.startText({ interests: ['jazz'] });
  await ben.startText({ interests: ['jazz'] });
  await talk(ann, ben);
  await ann.page.selectOption('#language', 'de');
  await ann.until(() => document.documentElement.lang === 'de' && document.getElementById('status-title').textContent === 'Jemand ist da', 'the title');
  assert.deepEqual(await ann.evaluate(() => ['status-text', 'stop', 'next'].map((id) => document.getElementById(id).textContent.replace(' Esc Esc', ''))), ['Ihr mögt beide jazz', 'Stopp', 'Weiter']);
  await talk(ann, ben, 'still here');
  await ben.click('#stop');
  await ann.phase('over');
  assert.equal((await ann.state()).title, 'Dein Gegenüber ist gegangen.');
  await ann.page.selectOption('#language', 'es');
  await ann.until(() => document.getElementById('status-title').textContent === 'La otra persona se fue.' && document.querySelector('#actions button').textContent === 'Siguiente', 'the ending, too');
  await clean(ann, ben);
});

test('a closed page: the stranger learns of it', async () => {
  const [ann, ben] = [await inChromium('Ann'), await inFirefox('Ben')];
  await ann.startText();
  await ben.startText();
  await talk(ann, ben);
  await ann.page.close();
  await ben.phase('over');
  await ben.until(() => document.getElementById('status-title').textContent === 'The stranger left.', 'says left');
});

test('the server is restarted: a text chat ends as lost, and next works', async () => {
  const [ann, ben] = [await inChromium('Ann'), await inFirefox('Ben')];
  await ann.startText();
  await ben.startText();
  await talk(ann, ben);
  await world.server.down('SIGKILL');
  await world.server.up();
  // A page learns of a silent connection from what is not acknowledged.
  await ann.say('are you there?');
  await ben.say('are you?');
  await Promise.all([ann.phase('over'), ben.phase('over')]);
  await ann.next();
  await ben.next();
  await talk(ann, ben, 'after the restart');
  await clean(ann, ben);
});

test('the example of the README works when pasted', async () => {
  const readme = await readFile(new URL('../../client-js/README.md', import.meta.url), 'utf8');
  const example = /```js\n([^`]*(?:`[^`]+`[^`]*)*?)\n```/.exec(readme.slice(readme.indexOf('## Example')))[1];
  assert.ok(example.split('\n').length <= 22, 'about 20 lines');
  const heard = [];
  const people = [await inChromium('Ann'), await inChromium('Ben')];
  for (const { page } of people) page.on('console', (message) => heard.push(message.text()));
  await Promise.all(people.map(({ page }) => page.evaluate(`(async () => {${example}})()`)));
  await people[0].evaluate(() => globalThis.say('pasted'));
  await people[0].until(() => true, 'alive');
  while (!heard.includes('stranger: pasted') || !heard.includes('Message 1 has arrived.')) await people[0].page.waitForEvent('console');
});
