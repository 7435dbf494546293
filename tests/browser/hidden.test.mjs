// Hidden video through a real relay (coturn): nothing but the relay's address reaches the stranger. Without a relay: no video, said aloud.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Relay } from './relay.mjs';
import { clean, useWorld } from './world.mjs';

/** @type {Relay} */
let relay;

const world = useWorld({
  settings: () => ({ ANONCAM_TURN_URLS: `turn:127.0.0.1:${relay.port}`, ANONCAM_TURN_SECRET_FILE: relay.secretFile }),
});

before(async () => {
  relay = await Relay.start({ secret: 'a secret between server and relay' });
});
after(() => relay?.stop());

/** Writes down every description and candidate that reaches this browser from the stranger. */
function listen() {
  globalThis.reached = [];
  const { setRemoteDescription, addIceCandidate } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.setRemoteDescription = function (description) {
    globalThis.reached.push(...description.sdp.split('\r\n').filter((line) => /candidate:|^c=|^a=rtcp:/.test(line)));
    return setRemoteDescription.apply(this, [description]);
  };
  RTCPeerConnection.prototype.addIceCandidate = function (candidate) {
    if (candidate?.candidate) globalThis.reached.push(candidate.candidate);
    return addIceCandidate.apply(this, [candidate]);
  };
}

const withEar = { prepare: (page) => page.addInitScript(listen) };

for (const [one, two] of [['hidden', 'hidden'], ['hidden', 'direct'], ['direct', 'hidden']]) {
  test(`${one} meets ${two}: pictures both ways, and only the relay's address reaches who meets somebody hidden`, async () => {
    const [ann, ben] = [await world.inChromium('Ann', withEar), await world.inChromium('Ben', withEar)];
    await ann.startVideo(one);
    await ben.startVideo(two);
    await Promise.all([ann.sees(), ben.sees()]);
    for (const [from, how, to] of [[ann, one, ben], [ben, two, ann]]) {
      if (how !== 'hidden') continue;
      const reached = await to.evaluate(() => globalThis.reached);
      const candidates = reached.filter((line) => line.includes('candidate:'));
      assert.ok(candidates.length > 0);
      for (const line of candidates) assert.match(line, / typ relay raddr 0\.0\.0\.0 rport 0/, `${from.name} is hidden`);
      for (const line of reached) if (!line.includes('candidate:')) assert.match(line, /0\.0\.0\.0|127\.0\.0\.1|::$/);
      await from.until(() => document.getElementById('badges').textContent.includes('relayed, address hidden'), 'the badge says hidden');
    }
    await clean(ann, ben);
  });
}

test('hidden without a working relay: no video, nothing sent, and the page says so', async () => {
  const [ann, ben] = [await world.inChromium('Ann', withEar), await world.inChromium('Ben', withEar)];
  relay.process.kill('SIGSTOP');
  try {
    await ann.startVideo('hidden');
    await ben.startVideo('direct');
    await ben.until(() => ['chat', 'over'].includes(document.body.dataset.phase), 'met');
    await ann.until(() => document.body.dataset.problem === 'no_relay' || document.getElementById('status-text').textContent.includes('Hidden never goes direct'), 'says that the relay does not work');
    const reached = await ben.evaluate(() => globalThis.reached.filter((line) => line.includes('candidate:')));
    assert.deepEqual(reached, [], 'no address left the page');
  } finally {
    relay.process.kill('SIGCONT');
  }
});
