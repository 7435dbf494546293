import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasRelay, hideAddresses, Peer } from './peer.js';

const RELAY = 'candidate:1 1 udp 41885439 203.0.113.9 50000 typ relay raddr 198.51.100.7 rport 40000 generation 0';
const HOST = 'candidate:2 1 udp 2122260223 192.168.1.5 51000 typ host generation 0';
const REFLEXIVE = 'candidate:3 1 udp 1686052607 198.51.100.7 51000 typ srflx raddr 192.168.1.5 rport 51000';
const OWN = /198\.51\.100\.7|192\.168\.1\.5/;

/** An RTCPeerConnection that goes nowhere, and a stream without tracks. */
class Connection {
  signalingState = 'stable';
  connectionState = 'new';
  iceGatheringState = 'new';
  /** @type {object|null} */
  localDescription = null;
  /** @type {any} */
  onicecandidate = null;
  /** @type {any} */
  onnegotiationneeded = null;
  /** @param {RTCConfiguration} configuration */
  constructor(configuration) {
    this.configuration = configuration;
    Connection.made.push(this);
  }
  /** @type {any} */
  onconnectionstatechange = null;
  restarts = 0;
  addTransceiver() {}
  close() {}
  restartIce() {
    this.restarts += 1;
  }
  /** @param {string} state */
  become(state) {
    this.connectionState = state;
    this.onconnectionstatechange();
  }
  async getStats() {
    return new Map();
  }
  async setLocalDescription() {
    const sdp = ['v=0', 'c=IN IP4 198.51.100.7', 'a=rtcp:51000 IN IP4 198.51.100.7', `a=${HOST}`, `a=${REFLEXIVE}`, `a=${RELAY}`, ''].join('\r\n');
    this.localDescription = { type: 'offer', sdp };
  }
  /** @type {Connection[]} */
  static made = [];
}

/** @param {{hidden: boolean, ice?: unknown}} options */
function start({ hidden, ice = [{ urls: ['turn:relay.test:3478'], username: 'u', credential: 'c' }] }) {
  Object.assign(globalThis, { MediaStream: class {
    getTracks() {
      return [];
    }
  } });
  /** @type {any[]} */
  const sent = [];
  /** @type {string[]} */
  const events = [];
  const peer = new Peer({
    polite: false, hidden, ice, stream: new MediaStream(), RTCPeerConnection: /** @type {any} */ (Connection),
    signal: (value) => sent.push(value), emit: (name) => events.push(name),
  });
  return { peer, sent, events, connection: /** @type {Connection} */ (Connection.made.at(-1)) };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

test('hidden: no address of this browser is in anything that leaves', async () => {
  const { peer, sent, connection } = start({ hidden: true });
  assert.equal(connection.configuration.iceTransportPolicy, 'relay');
  connection.onnegotiationneeded();
  for (const candidate of [HOST, REFLEXIVE, RELAY]) connection.onicecandidate({ candidate: { candidate, sdpMid: '0', sdpMLineIndex: 0, usernameFragment: 'x' } });
  await settled();
  assert.equal(sent.length, 2, 'one candidate and one description');
  assert.doesNotMatch(JSON.stringify(sent), OWN);
  assert.match(JSON.stringify(sent), /203\.0\.113\.9/);
  peer.close();
});

test('direct: candidates leave as they are', async () => {
  const { peer, sent, connection } = start({ hidden: false });
  assert.equal(connection.configuration.iceTransportPolicy, 'all');
  connection.onicecandidate({ candidate: { candidate: HOST, sdpMid: '0', sdpMLineIndex: 0, usernameFragment: 'x' } });
  assert.match(JSON.stringify(sent), OWN);
  peer.close();
});

test('hidden without a relay: nothing leaves, and it is told', async () => {
  const { peer, sent, events } = start({ hidden: true, ice: [{ urls: 'stun:stun.test' }] });
  await settled();
  assert.deepEqual([sent, events], [[], ['no_relay']]);
  peer.close();
});

test('a call that is interrupted for two seconds looks for another way, and a shorter hiccup does not matter', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const { peer, events, connection } = start({ hidden: false });
  connection.become('disconnected');
  t.mock.timers.tick(1_999);
  connection.become('connected');
  t.mock.timers.tick(60_000);
  assert.equal(connection.restarts, 0);
  connection.become('disconnected');
  t.mock.timers.tick(2_000);
  assert.equal(connection.restarts, 1);
  assert.deepEqual(events.filter((name) => name !== 'path'), ['interrupted', 'connected', 'interrupted']);
  connection.become('disconnected');
  peer.close();
  t.mock.timers.tick(60_000);
  assert.equal(connection.restarts, 1, 'nothing happens after the end');
});

test('iceServers of a hostile server do not reach the browser unchecked', () => {
  for (const ice of [null, 7, 'turn:x', [null], [{}], [{ urls: 7 }], [{ urls: ['http://x'] }], [{ urls: ['javascript:turn:x'] }]]) {
    assert.equal(hasRelay(ice), false);
    const { peer, connection } = start({ hidden: false, ice });
    assert.deepEqual(connection.configuration.iceServers, []);
    peer.close();
  }
  assert.equal(hasRelay([{ urls: 'turns:relay.test' }]), true);
});

test('a description without addresses keeps everything else', () => {
  const sdp = ['v=0', 'o=- 1 2 IN IP4 127.0.0.1', 'c=IN IP6 2001:db8::1', 'a=mid:0', `a=${HOST}`, `a=${RELAY}`, 'a=sendrecv', ''].join('\r\n');
  assert.equal(hideAddresses(sdp), [
    'v=0', 'o=- 1 2 IN IP4 127.0.0.1', 'c=IN IP6 ::', 'a=mid:0',
    'a=candidate:1 1 udp 41885439 203.0.113.9 50000 typ relay raddr 0.0.0.0 rport 0 generation 0', 'a=sendrecv', '',
  ].join('\r\n'));
});
