import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { EMOJI } from './emoji.js';
import { decodeJson, decodeRelayed, encodeFrame, encodeJson, encodeRelayed, FrameError, FrameReader, FrameType } from './frames.js';

/** @param {string} name */
const vectors = (name) => JSON.parse(readFileSync(new URL(`../../docs/vectors/${name}`, import.meta.url), 'utf8'));
/** @param {string} hex */
const bytes = (hex) => new Uint8Array(Buffer.from(hex, 'hex'));
/** @param {Uint8Array} some */
const hex = (some) => Buffer.from(some).toString('hex');

/** @param {Uint8Array} stream @param {number} slice */
function readAll(stream, slice) {
  const reader = new FrameReader();
  const frames = [];
  for (let at = 0; at < stream.length; at += slice) {
    for (const frame of reader.push(stream.subarray(at, at + slice))) frames.push(frame);
  }
  return frames;
}

test('what a server sends is written as the golden vectors say', () => {
  for (const { type, payload, bytes: expected } of vectors('frames.json').server) {
    assert.equal(hex(encodeFrame(type, new TextEncoder().encode(payload))), expected);
  }
});

test('what a client sends is read as the golden vectors say, in any slicing', () => {
  let faults = 0;
  for (const { name, stream, frames, fault } of vectors('frames.json').client) {
    if (fault === 1) continue; // A server's rule: a client skips what it does not know.
    for (const slice of [1, 2, 3, 5, 64]) {
      if (fault) {
        faults += 1;
        assert.throws(() => readAll(bytes(stream), slice), (error) => error instanceof FrameError && error.closeCode === fault, name);
        continue;
      }
      const read = readAll(bytes(stream), slice).map(({ type, payload }) => {
        if (type < 0x80) return { type, payload: hex(payload) };
        const { chat, opaque } = decodeRelayed(payload);
        return { type, chat, payload: hex(opaque) };
      });
      assert.deepEqual(read, frames, name);
    }
  }
  assert.ok(faults > 0);
});

test('frames are written as the golden vectors say', () => {
  let written = 0;
  for (const { name, stream, frames, fault } of vectors('frames.json').client) {
    if (fault || frames.length === 0) continue;
    const whole = frames.map((/** @type {any} */ one) =>
      one.chat === undefined ? encodeFrame(one.type, bytes(one.payload)) : encodeRelayed(one.type, one.chat, bytes(one.payload)));
    assert.equal(whole.map(hex).join(''), stream, name);
    written += 1;
  }
  assert.ok(written >= 4);
});

test('an unknown type from the server is skipped, whatever its length, and the next frame is read', () => {
  const unknown = new Uint8Array(4 + 100_000);
  unknown.set(bytes('600186a0'));
  const reader = new FrameReader();
  assert.deepEqual([...reader.push(unknown.subarray(0, 50_000))], []);
  const rest = [...reader.push(unknown.subarray(50_000)), ...reader.push(encodeJson(FrameType.DRAIN, { within_ms: 5 }))];
  assert.deepEqual(rest.map(({ payload }) => decodeJson(payload)), [{ within_ms: 5 }]);
});

test('a payload that is not a JSON object is a protocol error', () => {
  for (const text of ['', '[1]', 'null', '3', '{', '\u{fffd}']) {
    assert.throws(() => decodeJson(new TextEncoder().encode(text)), FrameError, text);
  }
  assert.throws(() => decodeJson(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d])), FrameError);
  assert.throws(() => decodeRelayed(new Uint8Array(3)), FrameError);
});

test('nothing over a limit is written', () => {
  assert.throws(() => encodeFrame(FrameType.LEAVE, new Uint8Array(1)), FrameError);
  assert.throws(() => encodeRelayed(FrameType.TEXT, 1, new Uint8Array(8189)), FrameError);
  assert.equal(encodeRelayed(FrameType.TEXT, 1, new Uint8Array(8188)).length, 8196);
  assert.throws(() => encodeFrame(0x60), FrameError);
});

test('the emoji table is the one of the golden vectors', () => {
  assert.deepEqual(vectors('emoji.json').emoji, EMOJI.map(([emoji, name]) => ({ emoji, name })));
  assert.equal(new Set(EMOJI.map(([emoji]) => emoji)).size, 64);
});
