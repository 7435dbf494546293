// Hidden video through a real relay (coturn): nothing but the relay's address reaches the stranger. Without a relay: no video, said aloud.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { freeUdpPort } from './server.mjs';
import { clean, useWorld } from './world.mjs';

const SECRET = 'a secret between server and relay';
const folder = mkdtempSync(join(tmpdir(), 'anoncam-turn-'));
let relay;
let relayPort;

const world = useWorld({
  settings: () => ({ ANONCAM_TURN_URLS: `turn:127.0.0.1:${relayPort}`, ANONCAM_TURN_SECRET_FILE: join(folder, 'secret') }),
});

before(async () => {
  writeFileSync(join(folder, 'secret'), SECRET, { mode: 0o600 });
  relayPort = await freeUdpPort();
  relay = spawn('turnserver', [
    '-n', '--listening-ip', '127.0.0.1', '--relay-ip', '127.0.0.1', '--listening-port', String(relayPort), '--use-auth-secret', '--static-auth-secret', SECRET,
    '--realm', 'anoncam.test', '--allow-loopback-peers', '--no-tls', '--no-dtls', '--no-cli', '--no-multicast-peers', '--log-file', 'stdout', '--simple-log',
    '--pidfile', join(folder, 'pid'), '--userdb', join(folder, 'db'), '--fingerprint',
  ], { stdio: ['ignore', 'pipe', 'pipe'] });
  relay.stdout.resume();
  relay.stderr.resume();
  await answersStun(relayPort);
});
after(() => {
  relay?.kill();
  rmSync(folder, { recursive: true, force: true });
});

/** Waits until the relay answers a STUN binding request (RFC 8489, section 6). @param {number} port */
async function answersStun(port) {
  const socket = createSocket('udp4');
  const request = Buffer.from('000100002112a442616e6f6e63616d2d746573740000'.slice(0, 40), 'hex');
  const answered = new Promise((resolve) => socket.once('message', resolve));
  const asking = setInterval(() => socket.send(request, port, '127.0.0.1'), 50);
  socket.on('error', () => {});
  await answered;
  clearInterval(asking);
  socket.close();
}

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
  relay.kill('SIGSTOP');
  try {
    await ann.startVideo('hidden');
    await ben.startVideo('direct');
    await ben.until(() => ['chat', 'over'].includes(document.body.dataset.phase), 'met');
    await ann.until(() => document.body.dataset.problem === 'no_relay' || document.getElementById('status-text').textContent.includes('Hidden never goes direct'), 'says that the relay does not work');
    const reached = await ben.evaluate(() => globalThis.reached.filter((line) => line.includes('candidate:')));
    assert.deepEqual(reached, [], 'no address left the page');
  } finally {
    relay.kill('SIGCONT');
  }
});
