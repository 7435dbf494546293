// The other way in: people whose browser has no WebTransport, or whose network lets no UDP through, meet everybody over WebSocket.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { talk } from './person.mjs';
import { freeUdpPort } from './server.mjs';
import { UdpPath } from './udp-path.mjs';
import { clean, useWorld } from './world.mjs';

let publicPort;
const world = useWorld({
  firefox: true,
  settings: async () => {
    publicPort = await freeUdpPort();
    return { ANONCAM_PUBLIC_URL: `https://127.0.0.1:${publicPort}` };
  },
});

/** What carries the session of a page, as its settings say. */
async function over(person) {
  await person.click('#more');
  const text = await person.evaluate(() => document.getElementById('dialog-body').innerText);
  await person.click('#dialog-close');
  return /Connected over (\w+)/.exec(text)?.[1];
}

async function openPath(t) {
  const path = await UdpPath.open(publicPort, world.server.udpPort);
  t.after(() => path.close());
  return path;
}

const withoutWebTransport = () => {
  delete globalThis.WebTransport;
};

test('without WebTransport and with it: they meet, talk, see each other, and each page says how it is connected', async (t) => {
  await openPath(t);
  const ann = await world.inChromium('Ann', { prepare: (page) => page.addInitScript(withoutWebTransport) });
  const ben = await world.inChromium('Ben');
  await ann.startVideo();
  await ann.until(() => document.getElementById('status-text').textContent.includes('over WebSocket'), 'a word of it while searching');
  await ben.startVideo();
  await Promise.all([ann.sees(), ben.sees()]);
  await talk(ann, ben);
  assert.deepEqual([await over(ann), await over(ben)], ['WebSocket', 'WebTransport']);
  await ann.next();
  await ben.phase('over');
  await clean(ann, ben);
});

test('a network without UDP: everybody is connected a moment later, in either browser', async (t) => {
  const path = await openPath(t);
  path.isCut = true;
  const [ann, ben] = [await world.inChromium('Ann'), await world.inFirefox('Ben')];
  await ann.startText();
  await ben.startText();
  await talk(ann, ben);
  assert.deepEqual([await over(ann), await over(ben)], ['WebSocket', 'WebSocket']);
  await clean(ann, ben);
});

test('UDP is cut in mid-chat, for good: the session resumes over WebSocket, nothing lost and nothing twice', async (t) => {
  const path = await openPath(t);
  const [ann, ben] = [await world.inChromium('Ann'), await world.inFirefox('Ben')];
  await ann.startText();
  await ben.startText();
  await talk(ann, ben);
  assert.deepEqual([await over(ann), await over(ben)], ['WebTransport', 'WebTransport']);
  path.isCut = true;
  await ann.say('said while cut');
  await ben.say('so was this');
  await ann.hears('so was this');
  await ben.hears('said while cut');
  assert.deepEqual([await over(ann), await over(ben)], ['WebSocket', 'WebSocket']);
  assert.deepEqual(await ben.transcript(), ['theirs: hello from Ann', 'mine: hello from Ben', 'mine: so was this', 'theirs: said while cut']);
  await clean(ann, ben);
});
