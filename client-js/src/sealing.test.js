import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Sealing, SealingError } from './sealing.js';

const golden = JSON.parse(readFileSync(new URL('../../docs/vectors/sealing.json', import.meta.url), 'utf8'));
const SIGNAL = 0x81;
const TEXT = 0x82;
/** @param {string} hex */
const bytes = (hex) => new Uint8Array(Buffer.from(hex, 'hex'));
/** @param {Uint8Array} some */
const hex = (some) => Buffer.from(some).toString('hex');
/** @param {Uint8Array|null|undefined} some */
const text = (some) => Buffer.from(some ?? []).toString();

/** @param {{private_key: string, public_key: string}} person */
async function keyPair({ private_key, public_key }) {
  const [x, y] = [public_key.slice(2, 66), public_key.slice(66)].map((part) => Buffer.from(part, 'hex').toString('base64url'));
  const jwk = { kty: 'EC', crv: 'P-256', x, y, d: Buffer.from(private_key, 'hex').toString('base64url') };
  const curve = { name: 'ECDH', namedCurve: 'P-256' };
  const publicKey = await crypto.subtle.importKey('raw', bytes(public_key), curve, true, []);
  return { publicKey, privateKey: await crypto.subtle.importKey('jwk', jwk, curve, false, ['deriveBits']) };
}

/** @param {'offerer'|'answerer'} role */
async function goldenSide(role) {
  const nonces = [bytes(golden[role].nonce), bytes(golden[role].renew_nonce)];
  return new Sealing(role, golden.chat, { keyPair: await keyPair(golden[role]), nonces: () => nonces.shift() ?? new Uint8Array(16) });
}

/** Two sides with keys agreed on. */
async function agreed() {
  const offerer = new Sealing('offerer', 7);
  const answerer = new Sealing('answerer', 7);
  const commit = await offerer.begin();
  assert.ok(commit);
  const { send: theirs } = await answerer.receive(SIGNAL, commit);
  assert.ok(theirs);
  const { send: ours } = await offerer.receive(SIGNAL, theirs);
  assert.ok(ours);
  await answerer.receive(SIGNAL, ours);
  return { offerer, answerer, commit, theirs, ours };
}

/** @param {Promise<unknown>} attempt @param {string} fault */
const fails = (attempt, fault) => assert.rejects(attempt, (error) => error instanceof SealingError && error.fault === fault);

test('the golden vectors, both sides, with a resume', async () => {
  const sides = { offerer: await goldenSide('offerer'), answerer: await goldenSide('answerer') };
  const { offerer, answerer } = sides;
  const commit = await offerer.begin();
  assert.equal(text(commit), golden.commit);
  const first = await answerer.receive(SIGNAL, new TextEncoder().encode(golden.commit));
  assert.equal(text(first.send), golden.answerer_reveal);
  const second = await offerer.receive(SIGNAL, new TextEncoder().encode(golden.answerer_reveal));
  assert.equal(text(second.send), golden.offerer_reveal);
  assert.deepEqual(await answerer.receive(SIGNAL, new TextEncoder().encode(golden.offerer_reveal)), { ready: true });
  assert.deepEqual([offerer.code, answerer.code], [golden.code, golden.code]);
  await checkSealed(golden.sealed, sides);

  const { after_resume: resume } = golden;
  const renews = [await offerer.renew(resume.chat), await answerer.renew(resume.chat)];
  assert.deepEqual(renews.map(text), [resume.offerer_renew, resume.answerer_renew]);
  await answerer.receive(SIGNAL, renews[0]);
  await offerer.receive(SIGNAL, renews[1]);
  await checkSealed(resume.sealed, sides);
  assert.deepEqual(offerer.code, golden.code);
});

/** @param {any[]} frames @param {{offerer: Sealing, answerer: Sealing}} sides */
async function checkSealed(frames, { offerer, answerer }) {
  for (const { sender, type, plaintext, bytes: expected } of frames) {
    const [from, to] = sender === 'offerer' ? [offerer, answerer] : [answerer, offerer];
    const sealed = await from.seal(type, JSON.parse(plaintext));
    assert.equal(hex(sealed), expected);
    const { plaintext: opened } = await to.receive(type, sealed);
    assert.equal(opened?.trimEnd(), plaintext);
    assert.equal(Buffer.byteLength(opened ?? '') % 256, 0);
  }
}

test('two chats of the same two people share no key and no code', async () => {
  const [one, two] = [await agreed(), await agreed()];
  assert.notDeepEqual(one.offerer.code, two.offerer.code);
  const sealed = await one.offerer.seal(TEXT, { kind: 'ack', id: 1 });
  await fails(two.answerer.receive(TEXT, sealed), 'tag');
});

test('a reveal that does not match its commit', async () => {
  const offerer = new Sealing('offerer', 7);
  const other = new Sealing('offerer', 7);
  const answerer = new Sealing('answerer', 7);
  const commit = await offerer.begin();
  const { send } = await answerer.receive(SIGNAL, commit ?? new Uint8Array());
  await other.begin();
  const { send: wrong } = await other.receive(SIGNAL, send ?? new Uint8Array());
  await fails(answerer.receive(SIGNAL, wrong ?? new Uint8Array()), 'commit');
});

test('a key that comes back, a key off the curve, a key in another form', async () => {
  const key = Buffer.concat([Buffer.from([4]), Buffer.alloc(64, 1)]).toString('base64url');
  const nonce = Buffer.alloc(16).toString('base64url');
  for (const [reveal, fault] of [
    [{ kind: 'reveal', key, nonce }, 'key'],
    [{ kind: 'reveal', key: `${key}AA`, nonce }, 'key'],
    [{ kind: 'reveal', key, nonce: 'AA' }, 'key'],
    [{ kind: 'reveal', nonce }, 'key'],
    [{ kind: 'commit', hash: key }, 'clear'],
    [{ kind: 'renew', nonce }, 'clear'],
    ['nonsense', 'clear'],
    [null, 'clear'],
  ]) {
    const offerer = new Sealing('offerer', 7);
    await offerer.begin();
    await fails(offerer.receive(SIGNAL, new TextEncoder().encode(JSON.stringify(reveal))), /** @type {string} */ (fault));
  }
  const pair = await crypto.subtle.generateKey({ name: 'ECDH', namedCurve: 'P-256' }, true, ['deriveBits']);
  const offerer = new Sealing('offerer', 7, { keyPair: pair });
  await offerer.begin();
  const own = Buffer.from(await crypto.subtle.exportKey('raw', pair.publicKey)).toString('base64url');
  await fails(offerer.receive(SIGNAL, new TextEncoder().encode(JSON.stringify({ kind: 'reveal', key: own, nonce }))), 'reflected');
});

test('sealed before the keys, clear after them, clear in TEXT', async () => {
  const sealed = new Uint8Array(300);
  sealed[0] = 1;
  await fails(new Sealing('answerer', 7).receive(SIGNAL, sealed), 'early');
  const { offerer, answerer, commit, ours } = await agreed();
  await fails(answerer.receive(SIGNAL, ours), 'clear');
  await fails(offerer.receive(SIGNAL, new TextEncoder().encode(golden.after_resume.answerer_renew)), 'clear');
  await fails(new Sealing('answerer', 7).receive(TEXT, commit), 'clear');
});

test('a frame replayed, left out, changed, moved to another type or chat', async () => {
  /** @type {[string, (sealed: Uint8Array, next: Uint8Array) => [number, Uint8Array], string][]} */
  const attacks = [
    ['left out', (_, next) => [TEXT, next], 'counter'],
    ['changed', (sealed) => [TEXT, sealed.with(40, sealed[40] ^ 1)], 'tag'],
    ['tag changed', (sealed) => [TEXT, sealed.with(-1, sealed[sealed.length - 1] ^ 1)], 'tag'],
    ['counter changed', (sealed) => [TEXT, sealed.with(8, 1)], 'counter'],
    ['other type', (sealed) => [SIGNAL, sealed], 'tag'],
    ['cut', (sealed) => [TEXT, sealed.subarray(0, 20)], 'tag'],
  ];
  for (const [, attack, fault] of attacks) {
    const { offerer, answerer } = await agreed();
    const sealed = await offerer.seal(TEXT, { kind: 'message', id: 1, text: 'a' });
    const next = await offerer.seal(TEXT, { kind: 'message', id: 2, text: 'b' });
    await fails(answerer.receive(...attack(sealed, next)), fault);
    await fails(answerer.receive(TEXT, sealed), 'early'); // Nothing is taken after a fault.
  }
  const { offerer, answerer } = await agreed();
  const sealed = await offerer.seal(TEXT, { kind: 'ack', id: 1 });
  await answerer.receive(TEXT, sealed);
  await fails(answerer.receive(TEXT, sealed), 'counter');
  const reflected = await agreed();
  await fails(reflected.offerer.receive(TEXT, await reflected.offerer.seal(TEXT, { kind: 'ack', id: 1 })), 'tag');
});

test('after a resume: old frames, a renew that was seen before, and a reflected one do not pass', async () => {
  const { offerer, answerer } = await agreed();
  const old = await offerer.seal(TEXT, { kind: 'message', id: 1, text: 'a' });
  const [one, two] = [await offerer.renew(8), await answerer.renew(8)];
  await answerer.receive(SIGNAL, one);
  await fails(answerer.receive(TEXT, old), 'tag');
  await fails(offerer.receive(SIGNAL, one), 'reflected');
  assert.ok(two);
  const again = await agreed();
  const replayed = await again.offerer.renew(8);
  await again.answerer.renew(8);
  await again.answerer.receive(SIGNAL, replayed);
  await again.answerer.renew(9);
  await again.offerer.renew(9);
  await again.answerer.receive(SIGNAL, replayed); // The salt is fresh through the answerer's own nonce…
  await again.offerer.receive(SIGNAL, await again.answerer.renew(9));
  const sealed = await again.offerer.seal(TEXT, { kind: 'ack', id: 1 });
  await fails(again.answerer.receive(TEXT, sealed), 'early'); // …so nothing opens with what the replay made.
});
