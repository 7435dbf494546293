// A call that goes on: through a real relay (coturn), past the time for which its first credentials are good, over a change of network.

import { after, before, test } from 'node:test';
import { Relay } from './relay.mjs';
import { freeUdpPort } from './server.mjs';
import { UdpPath } from './udp-path.mjs';
import { clean, useWorld } from './world.mjs';

/** How long a credential is good in a call that outlives its first one. */
const BRIEF_S = 20;
/** What a call takes to notice that its network has changed, and to come back, on however slow a machine. */
const PATIENCE_MS = 180_000;
/** @type {Relay} */
let relay;
/** Between the browsers and the relay. */
let path;

const world = useWorld({
  settings: () => ({ ANONCAM_TURN_URLS: `turn:127.0.0.1:${path.port}`, ANONCAM_TURN_SECRET_FILE: relay.secretFile, ANONCAM_TURN_TTL_S: String(BRIEF_S) }),
});

before(async () => {
  relay = await Relay.start({ secret: 'a secret between server and relay' });
  path = await UdpPath.open(await freeUdpPort(), relay.port);
});
after(() => {
  path?.close();
  relay?.stop();
});

/** Notes when the credentials of this browser's connections expire, the first ones and those that follow; and how the connections do. */
function noteConnections() {
  globalThis.expiries = [];
  globalThis.states = [];
  const note = (configuration) => globalThis.expiries.push(...configuration.iceServers.flatMap((one) => (one.username ? [Number(one.username.split(':')[0])] : [])));
  const { setConfiguration } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.setConfiguration = function (configuration) {
    note(configuration);
    return setConfiguration.apply(this, [configuration]);
  };
  globalThis.RTCPeerConnection = new Proxy(RTCPeerConnection, {
    construct(Native, [configuration]) {
      note(configuration);
      const connection = new Native(configuration);
      connection.addEventListener('connectionstatechange', () => globalThis.states.push(connection.connectionState));
      return connection;
    },
  });
}

/** Waits for what may take long. */
async function comes(person, condition, what) {
  await person.page.waitForFunction(condition, undefined, { timeout: PATIENCE_MS }).catch(async (cause) => {
    throw new Error(`${person.name}: not so: ${what}. Its connection was ${await person.evaluate(() => globalThis.states)}`, { cause });
  });
}

test('a call survives a change of network after its first credentials have expired', async () => {
  const prepare = (page) => page.addInitScript(noteConnections);
  const people = [await world.inChromium('Ann', { prepare }), await world.inChromium('Ben', { prepare })];
  await Promise.all(people.map((person) => person.startVideo('hidden')));
  await Promise.all(people.map((person) => person.sees()));
  await Promise.all(people.map(async (person) => {
    await comes(person, () => globalThis.expiries.length > 1 && Date.now() / 1000 > globalThis.expiries[0] + 1, 'has newer credentials than the ones that have expired');
    await comes(person, () => globalThis.states.at(-1) === 'connected', 'is connected');
    await person.evaluate(() => void (globalThis.states.length = 0));
  }));
  // Both come from elsewhere now: to the relay they are strangers, and only a credential that is good lets them in again.
  path.rebind();
  const began = Date.now();
  await Promise.all(people.map((person) => comes(person, () => globalThis.states.includes('connected'), 'lost the relay and found it again')));
  console.log(`# ${((Date.now() - began) / 1000).toFixed(1)} s from the change of network to a connection again`);
  for (const person of people) await person.evaluate(() => void (globalThis.lastPicture = undefined));
  await Promise.all(people.map((person) => person.sees()));
  await clean(...people);
});
