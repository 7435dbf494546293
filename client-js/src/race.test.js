// WebTransport, WebSocket, and which of them carries a session.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeServer } from '../test/fake-server.js';
import { people, talk, until } from '../test/people.js';
import { AnonCam } from './index.js';
import { openWebSocket } from './websocket.js';

/** A server with the fallback. @param {Partial<FakeServer>} [knobs] */
const served = (knobs = {}) => Object.assign(new FakeServer(), { webSocket: true, ...knobs });

/** One person who searches, and how long it took to reach the server. @param {FakeServer} server */
async function searching(server) {
  const [ann] = people(server, 1);
  const began = performance.now();
  ann.cam.find({ mode: 'text' });
  await until(() => ann.last('waiting'));
  return { ann, tookMs: performance.now() - began };
}

/** @param {FakeServer} server @param {string} code */
async function fails(server, code) {
  const [ann] = people(server, 1);
  await assert.rejects(ann.cam.find({ mode: 'text' }), { code });
}

test('WebTransport opens: no socket is tried', async () => {
  const server = served();
  const { ann } = await searching(server);
  assert.equal(ann.cam.over, 'webtransport');
  assert.equal(ann.last('connection').over, 'webtransport');
  await new Promise((resolve) => setTimeout(resolve, 600)); // Longer than the head start.
  assert.deepEqual([server.sessions, server.sockets], [1, 0]);
});

test('a network without UDP: WebSocket carries the session after a head start, and the other attempt is given up', async () => {
  const server = served({ udp: 'silent' });
  const { ann, tookMs } = await searching(server);
  assert.equal(ann.cam.over, 'websocket');
  assert.ok(tookMs >= 450, `${tookMs} ms`);
  assert.equal(server.closedByClient, 1);
});

test('WebTransport fails at once, or is not there: WebSocket begins at once', async () => {
  const failing = await searching(served({ udp: 'failing' }));
  assert.ok(failing.tookMs < 450, `${failing.tookMs} ms`);
  const server = served();
  const old = new AnonCam({ ...server.options, WebTransport: undefined });
  await old.connect();
  assert.deepEqual([old.over, server.sessions, server.sockets], ['websocket', 0, 1]);
  old.close();
});

test('WebTransport comes while the socket is still opening: it wins, and the socket is closed', async () => {
  const server = served({ udp: 'silent', webSocketMs: 300 });
  const { WebTransport: Native } = server.options;
  const late = class extends Native {
    constructor() {
      super();
      this.ready = new Promise((resolve) => setTimeout(resolve, 600));
    }
  };
  const cam = new AnonCam({ ...server.options, WebTransport: /** @type {any} */ (late) });
  await cam.connect();
  assert.deepEqual([cam.over, server.sockets, server.closedByClient], ['webtransport', 1, 1]);
  cam.close();
});

test('every way to fail has its words: no UDP, neither way, no way that the browser knows', async () => {
  await fails(Object.assign(new FakeServer(), { udp: 'failing' }), 'unreachable');
  const neither = served();
  const { fetch } = neither;
  neither.fetch = async () => {
    const answer = await fetch();
    neither.reachable = false;
    return answer;
  };
  await fails(neither, 'no_way');
  const old = new AnonCam({ ...new FakeServer().options, WebTransport: undefined });
  await assert.rejects(old.connect(), { code: 'unsupported' });
});

test('a search is cancelled while neither way is open: both are given up', async () => {
  const server = served({ udp: 'silent', webSocketMs: 60_000 });
  const [ann] = people(server, 1);
  const cancel = new AbortController();
  const connecting = ann.cam.connect({ signal: cancel.signal });
  await until(() => server.sockets === 1);
  cancel.abort();
  await assert.rejects(connecting, { code: 'aborted' });
  await until(() => server.closedByClient === 2);
});

test('a chat resumes from WebTransport to WebSocket and back: nothing lost, nothing twice', async () => {
  const server = served();
  const [ann, ben] = await talk(server);
  await until(() => ann.last('secure') && ben.last('secure'));
  for (const [udp, over] of /** @type {const} */ ([['failing', 'websocket'], ['open', 'webtransport']])) {
    server.udp = udp;
    server.cut(server.person(0));
    ann.cam.sendText(`now over ${over}`);
    await until(() => ben.last('message')?.text === `now over ${over}` && ann.last('connection').over === over);
    ben.cam.sendText('heard');
    await until(() => ann.all('delivered').length === ben.all('message').length && ben.all('delivered').length === ann.all('message').length);
  }
  assert.deepEqual(ben.all('message').map(({ text }) => text), ['now over websocket', 'now over webtransport']);
  assert.equal(ann.all('warning').length + ben.all('warning').length, 0);
});

test('close codes come through WebSocket: one of the protocol as itself, any other as a lost connection', async () => {
  const server = served({ udp: 'failing', refuse: { code: 4, reason: JSON.stringify({ message: 'Not now.', retry_after_ms: 1500, reason: 'spam', case: 'B3K-9TX' }) } });
  const [ann] = people(server, 1);
  await assert.rejects(ann.cam.find({ mode: 'text' }), { code: 'banned', retryAfterMs: 1500, reason: 'spam', appeal: 'B3K-9TX' });
  server.refuse = null;
  ann.cam.find({ mode: 'text' });
  await until(() => ann.last('waiting'));
  server.cut(server.person(0)); // 1006
  await until(() => ann.all('waiting').length === 2 && ann.all('connection').some(({ state }) => state === 'reconnecting'));
});

test('what the protocol does not know ends a socket: text, and a frame over its limit', async () => {
  const server = served();
  const { WebSocket: Native } = server.options;
  /** @type {any} */
  let socket;
  const seen = class extends Native {
    constructor() {
      super();
      socket = this;
    }
  };
  const channel = await openWebSocket({ url: 'wss://server.test/v1' }, /** @type {any} */ (seen));
  socket.dispatchEvent(new MessageEvent('message', { data: 'text' }));
  assert.deepEqual(await channel.closed, { code: 1, reason: 'text is no part of the protocol' });
  assert.equal(socket.said.code, 4001);
  const other = await openWebSocket({ url: 'wss://server.test/v1' }, /** @type {any} */ (seen));
  other.close(2, 'ü'.repeat(100));
  assert.deepEqual([socket.said.code, new TextEncoder().encode(socket.said.reason).length], [4002, 122], 'cut between characters');
});

test('a socket that sends slowly holds back what comes next', async () => {
  const server = served({ silent: true });
  /** @type {any} */
  let socket;
  const { WebSocket: Native } = server.options;
  const channel = await openWebSocket({ url: 'wss://server.test/v1' }, /** @type {any} */ (class extends Native {
    constructor() {
      super();
      socket = this;
      socket.bufferedAmount = 100_000;
    }
  }));
  let written = false;
  void channel.writer.write(new Uint8Array([3, 0, 0, 0])).then(() => (written = true));
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.equal(written, false);
  socket.bufferedAmount = 0;
  await until(() => written);
});
