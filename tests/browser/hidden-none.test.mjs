// Hidden on a server that has no relay at all.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useWorld } from './world.mjs';

const world = useWorld();

test('hidden, and the server names no relay: the page says so, and no connection is made', async () => {
  const count = () => {
    globalThis.sent = 0;
    const { setLocalDescription } = RTCPeerConnection.prototype;
    RTCPeerConnection.prototype.setLocalDescription = function (...values) {
      globalThis.sent += 1;
      return setLocalDescription.apply(this, values);
    };
  };
  const [ann, ben] = [await world.inChromium('Ann', { prepare: (page) => page.addInitScript(count) }), await world.inChromium('Ben')];
  await ann.startVideo('hidden');
  await ben.startVideo('direct');
  await ann.problem('no_relay');
  await ben.phase('over');
  assert.equal(await ann.evaluate(() => globalThis.sent), 0);
});
