// People for tests: an AnonCam with a record of its events.

import { after } from 'node:test';
import { AnonCam } from '../src/index.js';

/** @type {Set<AnonCam>} */
const open = new Set();
// Their timers would keep the process.
after(() => open.forEach((cam) => cam.close()));

const EVENTS = [
  'site', 'connection', 'waiting', 'matched', 'secure', 'message', 'delivered', 'typing', 'media', 'stranger', 'detached', 'ended', 'warning',
  'notice', 'error', 'draining', 'video', 'stream', 'path', 'quality',
];

export class Recorded {
  /** @type {{name: string, detail: any}[]} */
  events = [];
  connections = 0;

  /** @param {import('../src/index.js').AnonCamOptions} options */
  constructor(options) {
    const self = this;
    const Counted = /** @type {any} */ (class {
      constructor() {
        self.connections += 1;
        throw new Error('no RTCPeerConnection belongs here');
      }
    });
    this.cam = new AnonCam({ RTCPeerConnection: Counted, ...options });
    for (const name of EVENTS) {
      this.cam.addEventListener(name, (event) => this.events.push({ name, detail: /** @type {CustomEvent} */ (event).detail }));
    }
    open.add(this.cam);
  }

  /** Details of all events of a name. @param {string} name */
  all(name) {
    return this.events.filter((event) => event.name === name).map(({ detail }) => detail);
  }

  /** Detail of the latest event of a name. @param {string} name */
  last(name) {
    return this.all(name).at(-1);
  }
}

/** @param {import('./fake-server.js').FakeServer} server @param {number} count */
export const people = (server, count) => Array.from({ length: count }, () => new Recorded(server.options));

/**
 * Two people in a text chat; the first is the offerer.
 * @param {import('./fake-server.js').FakeServer} server
 * @param {object} [wishes]
 */
export async function talk(server, wishes = {}) {
  const [ann, ben] = people(server, 2);
  ann.cam.find({ mode: 'text', ...wishes });
  await until(() => ann.last('waiting'));
  await ben.cam.find({ mode: 'text', ...wishes });
  await until(() => ann.last('matched'));
  return [ann, ben];
}

/**
 * Waits until something is true; fails after 5 s, naming the place.
 * @param {() => unknown} condition
 */
export async function until(condition) {
  const failed = new Error(`still not: ${condition}`);
  const deadline = Date.now() + 5_000;
  while (!condition()) {
    if (Date.now() > deadline) throw failed;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
