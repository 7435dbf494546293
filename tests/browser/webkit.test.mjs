// WebKit: Debian's WebKitGTK 2.50 has neither WebTransport nor RTCPeerConnection. Text goes over WebSocket; video is refused in words.
// Skipped where webkit2gtk-driver or xvfb is not installed.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Person, talk } from './person.mjs';
import { installed, openWebKit } from './webkit.mjs';
import { clean, useWorld } from './world.mjs';

const skip = installed ? false : 'webkit2gtk-driver and xvfb are not installed';
const world = useWorld();
let webkit;

before(async () => {
  if (installed) webkit = await openWebKit();
});
after(() => webkit?.close());

async function inWebKit(name) {
  const person = new Person(webkit, name);
  await person.goto(world.server.origin);
  return person;
}

test('WebKit with Chromium: text over WebSocket, delivered and left clean', { skip }, async () => {
  const [ann, ben] = [await inWebKit('Ann'), await world.inChromium('Ben')];
  console.log(`# WebKitGTK: WebTransport ${await ann.evaluate(() => typeof WebTransport)}, RTCPeerConnection ${await ann.evaluate(() => typeof RTCPeerConnection)}`);
  await ann.startText();
  await ann.until(() => document.getElementById('status-text').textContent.includes('over WebSocket'), 'says how it is connected');
  await ben.startText();
  await talk(ann, ben);
  await ann.until(() => document.querySelector('#log .mine .tick').textContent === 'delivered', 'the tick tells of delivery');
  await ann.click('#stop');
  await ben.phase('over');
  assert.deepEqual(await ann.transcript(), [], 'the transcript is gone');
  await clean(ann, ben);
});

test('WebKit without WebRTC: video is refused in words, text is a click away', { skip }, async () => {
  const ann = await inWebKit('Ann');
  await ann.click('#adult');
  await ann.click('#start button[value=video]');
  await ann.problem('no_webrtc');
  assert.equal((await ann.state()).title, 'No video in this browser.');
  await ann.click('#actions .primary');
  await ann.until(() => document.body.dataset.view === 'landing', 'back at the beginning');
});
