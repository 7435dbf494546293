// The search of a proof of work (PROTOCOL.md section 6): numbers n with SHA-256(challenge | n) below a bound.
// Comes in: a challenge. Goes out: the proof. Plain code, since WebCrypto would cost a promise for each of some hundred thousand tries.

import { toBase64Url } from './bytes.js';

/** Longest challenge, in bytes: with a number of 4 bytes it fits into one block of SHA-256. */
const MAX_CHALLENGE_BYTES = 51;
/** Most tries that a challenge may be expected to take: about a minute of a phone. More is no check but an attack. */
const MAX_EXPECTED_TRIES = 2 ** 25;
const BLOCK_BYTES = 64;
/** Initial hash value and round constants (FIPS 180-4, sections 4.2.2 and 5.3.3). */
const INITIAL = Int32Array.of(0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19);
const ROUND = Int32Array.of(
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
  0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
  0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
  0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
  0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
  0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
);

/**
 * How many numbers a challenge wants, and how many zero bits each hash; null if it is of a kind that is not known here.
 * @param {unknown} challenge
 */
export function readChallenge(challenge) {
  if (typeof challenge !== 'string' || challenge.length > MAX_CHALLENGE_BYTES) return null;
  const [whole, count, bits] = /^([1-9]\d{0,3})\.([1-9]\d?)\.[A-Za-z0-9_-]+$/.exec(challenge) ?? [];
  if (!whole || Number(count) * 2 ** Number(bits) > MAX_EXPECTED_TRIES) return null;
  return { count: Number(count), bits: Number(bits) };
}

export class Search {
  #challenge;
  #count;
  #bits;
  #block = new DataView(new ArrayBuffer(BLOCK_BYTES));
  #words = new Int32Array(BLOCK_BYTES);
  #number = 0;
  /** @type {number[]} */
  #found = [];

  /** @param {string} challenge one that readChallenge knows */
  constructor(challenge) {
    const { count = 1, bits = 1 } = readChallenge(challenge) ?? {};
    this.#challenge = challenge;
    this.#count = count;
    this.#bits = bits;
    const bytes = new TextEncoder().encode(challenge);
    bytes.forEach((byte, at) => this.#block.setUint8(at, byte));
    this.#block.setUint8(bytes.length + 4, 0x80);
    this.#block.setUint32(BLOCK_BYTES - 4, (bytes.length + 4) * 8);
  }

  /**
   * Goes on searching. Gives the proof when it is complete, null until then.
   * @param {number} tries at most so many numbers are tried
   */
  step(tries) {
    for (let left = tries; left > 0 && this.#found.length < this.#count; left -= 1) {
      this.#block.setUint32(this.#challenge.length, this.#number);
      if (Math.clz32(this.#hash()) >= this.#bits) this.#found.push(this.#number);
      this.#number += 1;
    }
    if (this.#found.length < this.#count) return null;
    const numbers = new DataView(new ArrayBuffer(this.#count * 4));
    this.#found.forEach((number, index) => numbers.setUint32(index * 4, number));
    return `${this.#challenge}.${toBase64Url(new Uint8Array(numbers.buffer))}`;
  }

  /** The first 32 bits of the block's SHA-256. */
  #hash() {
    const words = this.#words;
    for (let i = 0; i < 16; i += 1) words[i] = this.#block.getInt32(i * 4);
    for (let i = 16; i < 64; i += 1) {
      const x = words[i - 15];
      const y = words[i - 2];
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      words[i] = (words[i - 16] + s0 + words[i - 7] + s1) | 0;
    }
    // One by one: destructuring would run an iterator, and take two thirds of the time.
    let a = INITIAL[0];
    let b = INITIAL[1];
    let c = INITIAL[2];
    let d = INITIAL[3];
    let e = INITIAL[4];
    let f = INITIAL[5];
    let g = INITIAL[6];
    let h = INITIAL[7];
    for (let i = 0; i < 64; i += 1) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + ROUND[i] + words[i]) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) | 0;
    }
    return (INITIAL[0] + a) | 0;
  }
}
