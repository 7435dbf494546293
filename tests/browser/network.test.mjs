// What the network does to WebTransport: a cut and its end, a slow path, a path that is closed to UDP. The other way in is websocket.test.mjs.

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
    return { ANONCAM_PUBLIC_URL: `https://127.0.0.1:${publicPort}`, ANONCAM_MAX_WEBSOCKETS: '0' };
  },
});

/** One way for everybody; `world.server` is behind it. */
async function openPath(t, { delayMs = 0 } = {}) {
  const path = await UdpPath.open(publicPort, world.server.udpPort);
  path.delayMs = delayMs;
  t.after(() => path.close());
  return path;
}

for (const browser of ['Chromium', 'Firefox']) {
  test(`${browser}: the network is cut in mid-chat and comes back: new keys, nothing lost, nothing twice`, async (t) => {
    const path = await openPath(t);
    const ann = browser === 'Chromium' ? await world.inChromium('Ann') : await world.inFirefox('Ann');
    const ben = await world.inChromium('Ben');
    await ann.startText();
    await ben.startText();
    await talk(ann, ben);
    path.isCut = true;
    await ann.say('said while cut');
    await ben.say('so was this');
    // Nothing is acknowledged: the pages doubt their connections, and try to get back until they can.
    await ann.until(() => /Reconnecting/.test(document.getElementById('status-text').textContent), 'tells that the connection was lost');
    path.isCut = false;
    await ann.hears('so was this');
    await ben.hears('said while cut');
    await ann.say('after');
    await ben.hears('after');
    for (const person of [ann, ben]) await person.until(() => [...document.querySelectorAll('#log .mine .tick')].every((tick) => tick.textContent === 'delivered'), 'all delivered');
    assert.deepEqual(await ben.transcript(), ['theirs: hello from Ann', 'mine: hello from Ben', 'mine: so was this', 'theirs: said while cut', 'theirs: after']);
    await clean(ann, ben);
  });
}

test('from Start to a chat with somebody who waits: at most 3 times the signalling round trips that it needs', async (t) => {
  const roundTripMs = 200;
  // QUIC and TLS handshake; SETTINGS and CONNECT; HELLO with FIND, and MATCHED.
  const needed = 3;
  await openPath(t, { delayMs: roundTripMs / 2 });
  // A processor that does other work takes time that is no round trip: the best of three tries.
  let bestMs = Infinity;
  for (let attempt = 0; attempt < 3 && bestMs > 3 * needed * roundTripMs; attempt += 1) bestMs = Math.min(bestMs, await startToChatMs());
  console.log(`# Start to chat: ${Math.round(bestMs)} ms over a round trip of ${roundTripMs} ms: ${(bestMs / roundTripMs).toFixed(1)} round trips, ${needed} needed`);
  assert.ok(bestMs <= 3 * needed * roundTripMs, `${bestMs} ms`);
});

/** Ann waits; how long it takes Ben from the click to the chat. */
async function startToChatMs() {
  const ann = await world.inChromium('Ann');
  await ann.startText();
  await ann.until(() => document.getElementById('status-text').textContent !== 'Connecting', 'waits');
  const ben = await world.inChromium('Ben');
  const tookMs = await ben.evaluate(() => new Promise((resolve) => {
    const begin = performance.now();
    new MutationObserver(() => document.body.dataset.phase === 'chat' && resolve(performance.now() - begin)).observe(document.body, { attributes: true });
    document.getElementById('adult').click();
    document.querySelector('#start button[value=text]').click();
  }));
  await talk(ann, ben);
  await world.leave();
  return tookMs;
}

test('a network that lets no UDP through: the page says so', async (t) => {
  const path = await openPath(t);
  path.isCut = true;
  const ann = await world.inChromium('Ann');
  await ann.startText();
  await ann.problem('unreachable');
  path.isCut = false;
  await ann.click('#actions .primary');
  await ann.phase('searching');
  await ann.until(() => document.getElementById('status-text').textContent.includes('online'), 'reached');
});

test('offline: the page says so, and goes on by itself', async (t) => {
  await openPath(t);
  const ann = await world.inChromium('Ann');
  await ann.page.context().setOffline(true);
  await ann.startText();
  await ann.problem('offline');
  await ann.page.context().setOffline(false);
  await ann.phase('searching');
});

test('the site is gone: the page says so', async () => {
  const ann = await world.inChromium('Ann');
  await world.server.down();
  await ann.startText();
  await ann.problem('site');
});
