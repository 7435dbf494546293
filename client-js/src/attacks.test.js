// A server in the middle that does not behave as published. Every attack ends the chat with a warning, or shows in the safety codes,
// and no address leaves the page.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeServer } from '../test/fake-server.js';
import { people, talk, until } from '../test/people.js';
import { FrameType as T } from './frames.js';
import { Sealing } from './sealing.js';

const utf8 = new TextEncoder();
/** @param {object} value */
const clear = (value) => utf8.encode(JSON.stringify(value));
const isClear = (/** @type {Uint8Array} */ opaque) => opaque[0] === 0x7b;
const kindOf = (/** @type {Uint8Array} */ opaque) => (isClear(opaque) ? JSON.parse(new TextDecoder().decode(opaque)).kind : 'sealed');

/** @param {FakeServer} server */
async function chatting(server) {
  const pair = await talk(server);
  await until(() => pair.every((one) => one.last('secure')));
  return pair;
}

/**
 * The victim was warned, the chat is over, and nothing forged was shown.
 * @param {import('../test/people.js').Recorded} victim
 * @param {string} fault
 */
async function warned(victim, fault) {
  await until(() => victim.last('ended'));
  assert.deepEqual(victim.all('warning'), [{ fault }]);
  assert.deepEqual(victim.last('ended'), { why: 'warning' });
  assert.equal(victim.cam.state, 'idle');
  assert.equal(victim.connections, 0);
}

test('keys swapped on the way: both sides get keys, and the codes differ', async () => {
  const server = new FakeServer();
  // One agreement with each of the two: the middle answers as if it were the other.
  const middle = new Map();
  server.tamper = (from, type, opaque) => {
    if (!isClear(opaque)) return [];
    if (!middle.has(from)) middle.set(from, new Sealing(kindOf(opaque) === 'commit' ? 'answerer' : 'offerer', 1));
    const role = kindOf(opaque) === 'commit' || (kindOf(opaque) === 'reveal' && from === server.person(0)) ? 'answerer' : 'offerer';
    const mine = middle.get(from);
    if (role === 'answerer') void mine.receive(type, opaque).then((/** @type {any} */ { send }) => send && server.inject(from, type, send));
    else void mine.receive(type, opaque).then((/** @type {any} */ { send }) => send && server.inject(from, type, send));
    return [];
  };
  const [ann, ben] = await talk(server);
  // The middle plays the offerer towards ben.
  const towardsBen = new Sealing('offerer', 1);
  middle.set(server.person(1), towardsBen);
  const commit = await towardsBen.begin();
  assert.ok(commit);
  server.inject(server.person(1), T.SIGNAL, commit);
  await until(() => ann.last('secure') && ben.last('secure'));
  assert.notDeepEqual(ann.last('secure').code, ben.last('secure').code);
});

test('a reveal is exchanged for another: the commit does not match', async () => {
  const server = new FakeServer();
  const other = new Sealing('offerer', 1);
  await other.begin();
  let forged = /** @type {Uint8Array|undefined} */ (undefined);
  server.tamper = (from, type, opaque) => {
    if (kindOf(opaque) !== 'reveal') return [opaque];
    if (from === server.person(0)) return [forged ?? opaque];
    void other.receive(type, opaque).then(({ send }) => {
      forged = send;
      server.inject(server.person(0), type, opaque);
    });
    return [];
  };
  const [, ben] = await talk(server);
  await warned(ben, 'commit');
});

test('an own reveal is reflected', async () => {
  const server = new FakeServer();
  server.tamper = (from, type, opaque) => {
    if (kindOf(opaque) === 'reveal' && from === server.person(1)) server.inject(from, type, opaque);
    return [opaque];
  };
  const [, ben] = await talk(server);
  // The answerer's own reveal is not what its stranger committed to, which is found first.
  await warned(ben, 'commit');
});

/** @type {[string, (sealed: Uint8Array[], fresh: Uint8Array) => Uint8Array[], string][]} */
const ON_THE_WAY = [
  ['replayed', (_, fresh) => [fresh, fresh], 'counter'],
  ['altered', (_, fresh) => [fresh.with(30, fresh[30] ^ 4)], 'tag'],
  ['cut short', (_, fresh) => [fresh.subarray(0, 12)], 'tag'],
  ['emptied', () => [new Uint8Array(0)], 'clear'],
  ['followed by clear text', (_, fresh) => [fresh, clear({ kind: 'message', id: 9, text: 'forged' })], 'clear'],
  ['followed by another commit', (_, fresh) => [fresh, clear({ kind: 'commit', hash: 'A'.repeat(43) })], 'clear'],
  ['followed by a renew', (_, fresh) => [fresh, clear({ kind: 'renew', nonce: 'A'.repeat(22) })], 'clear'],
  ['overtaken', (before, fresh) => (before.push(fresh) === 1 ? [] : [fresh, before[0]]), 'counter'],
];

for (const [how, attack, fault] of ON_THE_WAY) {
  test(`a sealed frame is ${how}`, async () => {
    const server = new FakeServer();
    const [ann, ben] = await chatting(server);
    /** @type {Uint8Array[]} */
    const before = [];
    server.tamper = (_from, type, opaque) => (type === T.TEXT ? attack(before, opaque) : [opaque]);
    ann.cam.sendText('one');
    ann.cam.sendText('two');
    await warned(ben, fault);
    assert.ok(ben.all('message').every(({ text }) => text === 'one'));
  });
}

test('a frame of one person is sent back to them', async () => {
  const server = new FakeServer();
  const [ann] = await chatting(server);
  server.tamper = (from, type, opaque) => {
    server.inject(from, type, opaque);
    return [];
  };
  ann.cam.sendText('echo');
  await warned(ann, 'tag');
});

test('clear frames are injected at every moment of the agreement', async () => {
  for (const moment of ['commit', 'reveal']) {
    const server = new FakeServer();
    server.tamper = (_from, _type, opaque) => (kindOf(opaque) === moment ? [clear({ kind: 'description', description: { type: 'offer', sdp: 'v=0' } })] : [opaque]);
    const pair = await talk(server);
    await until(() => pair.some((one) => one.last('warning')));
    assert.equal(pair.reduce((sum, one) => sum + one.connections, 0), 0);
  }
});

test('something sealed comes before the keys', async () => {
  const server = new FakeServer();
  server.tamper = () => [new Uint8Array(300).fill(1)];
  const [, ben] = await talk(server);
  await warned(ben, 'early');
});

test('a resume is forced on one person: their renew meets somebody who did not resume', async () => {
  const server = new FakeServer();
  const [ann, ben] = await chatting(server);
  server.forceResume(server.person(0));
  await until(() => ann.last('stranger'));
  await warned(ben, 'clear');
});

test('a resume is forced on both with nonces of the middle: the keys differ, and the first frame shows it', async () => {
  const server = new FakeServer();
  const [ann, ben] = await chatting(server);
  server.tamper = (_from, _type, opaque) => (isClear(opaque) ? [] : [opaque]);
  for (const one of [0, 1]) server.forceResume(server.person(one));
  for (const one of [0, 1]) server.inject(server.person(one), T.SIGNAL, clear({ kind: 'renew', nonce: 'A'.repeat(22) }));
  await until(() => ann.all('secure').length === 2 && ben.all('secure').length === 2);
  ann.cam.sendText('under keys of which ben has others');
  await warned(ben, 'tag');
});

test('frames of before a resume are replayed after it', async () => {
  const server = new FakeServer();
  const [ann, ben] = await chatting(server);
  ann.cam.sendText('once');
  await until(() => ann.last('delivered'));
  const old = server.relayed.filter(({ from, type }) => from === server.person(0) && type === T.TEXT)[0];
  server.cut(server.person(0));
  await until(() => ann.all('secure').length === 2 && ben.all('secure').length === 2);
  server.inject(server.person(1), T.TEXT, old.opaque);
  await warned(ben, 'tag');
  assert.equal(ben.all('message').length, 1);
});

test('an offer is sent into a text chat by the stranger: the chat ends, and no RTCPeerConnection is made', async () => {
  const server = new FakeServer();
  const [victim] = people(server, 1);
  victim.cam.find({ mode: 'text' });
  await until(() => victim.last('waiting'));
  const stranger = new (await import('../test/raw-person.js')).RawPerson(server);
  await stranger.find('text');
  await stranger.agree();
  await stranger.send(T.SIGNAL, { kind: 'description', description: { type: 'offer', sdp: 'v=0\r\n' } });
  await warned(victim, 'signal');
});

test('what a stranger sends inside the sealing is checked, and nonsense changes nothing', async () => {
  const server = new FakeServer();
  const [victim] = people(server, 1);
  victim.cam.find({ mode: 'text' });
  await until(() => victim.last('waiting'));
  const stranger = new (await import('../test/raw-person.js')).RawPerson(server);
  await stranger.find('text');
  await stranger.agree();
  for (const value of [
    null, 1, 'x', [], { kind: 'message' }, { kind: 'message', id: '1', text: 'x' }, { kind: 'message', id: 1.5, text: 'x' }, { kind: 'message', id: -1, text: 'x' },
    { kind: 'message', id: 1, text: 'x'.repeat(2001) }, { kind: 'message', id: 1, text: {} }, { kind: 'ack', id: 99 }, { kind: 'ack', id: '__proto__' },
    { kind: '__proto__' }, { kind: 'unheard of' }, { kind: 'typing', on: 'yes' }, { kind: 'media', camera: 1 },
    { kind: 'message', id: 0, text: 'real' }, { kind: 'message', id: 0, text: 'again' },
  ]) await stranger.send(T.TEXT, /** @type {any} */ (value));
  await until(() => victim.last('message'));
  await stranger.send(T.TEXT, { kind: 'typing', on: true });
  await until(() => victim.last('typing')?.on === true);
  assert.deepEqual(victim.all('message'), [{ id: 0, text: 'real' }]);
  assert.equal(victim.all('delivered').length + victim.all('warning').length, 0);
});
