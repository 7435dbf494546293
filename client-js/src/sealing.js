// Sealing (PROTOCOL.md section 7): keys between the two browsers, agreed on through a server that is not trusted with them.
// Comes in: the opaque bytes of SIGNAL and TEXT. Goes out: the clear handshake frames, sealed bytes, opened plaintexts, the safety code.
//
// How to drive it: `begin()` gives the offerer's first frame. Feed every incoming payload to `receive()`, one after the other (await
// each), and send what it returns in `send`. From `ready` on, `seal()` works. After a resume call `renew()` and send what it gives.
// A SealingError means that somebody in the middle or the stranger broke the rules: end the chat and say so.

import { concat, equal, fromBase64Url, toBase64Url } from './bytes.js';

/** @typedef {'offerer'|'answerer'} Role */
/** @typedef {'commit'|'key'|'reflected'|'clear'|'early'|'counter'|'tag'|'plaintext'} SealingFault */

const SEALED = 0x01;
const COUNTER_BYTES = 8;
const TAG_BYTES = 16;
const NONCE_BYTES = 16;
const KEY_BYTES = 65;
/** Plaintexts are padded to a multiple of this, so that lengths tell little. */
const PAD_BYTES = 256;
/** Bytes that sealing adds to a padded plaintext. */
export const SEALED_OVERHEAD_BYTES = 1 + COUNTER_BYTES + TAG_BYTES;
const CURVE = { name: 'ECDH', namedCurve: 'P-256' };

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** The chat cannot be trusted any more. */
export class SealingError extends Error {
  /**
   * @param {SealingFault} fault
   * @param {string} message
   */
  constructor(fault, message) {
    super(message);
    this.name = 'SealingError';
    this.fault = fault;
  }
}

/** A fresh key pair for one chat; the private part cannot be exported. @returns {Promise<CryptoKeyPair>} */
export const makeKeyPair = () => /** @type {Promise<CryptoKeyPair>} */ (crypto.subtle.generateKey(CURVE, false, ['deriveBits']));

/** Fresh nonce of a reveal or renew frame. */
const makeNonce = () => crypto.getRandomValues(new Uint8Array(NONCE_BYTES));

/**
 * The five numbers (0 to 63) of the safety code, from the transcript of the key agreement.
 * @param {Uint8Array} transcript
 */
export async function safetyCode(transcript) {
  const digest = await sha256(concat(encoder.encode('anoncam v1 code'), transcript));
  const bits = new DataView(digest.buffer).getUint32(0);
  return [26, 20, 14, 8, 2].map((shift) => (bits >>> shift) & 63);
}

/** The keys and counters of one chat. */
export class Sealing {
  #role;
  #chat;
  #keyPair;
  #nonces;
  #ownKey = new Uint8Array(0);
  #commit = new Uint8Array(0);
  #ownReveal = new Uint8Array(0);
  /** @type {'commit'|'reveal'|'renew'|'sealed'|'broken'} the kind of frame that is due from the other */
  #due;
  /** @type {Uint8Array<ArrayBuffer>|null} */
  #root = null;
  /** @type {Uint8Array<ArrayBuffer>|null} */
  #ownRenew = null;
  /** @type {CryptoKey|null} */
  #sendKey = null;
  /** @type {CryptoKey|null} */
  #receiveKey = null;
  #sent = 0n;
  #received = 0n;
  /** @type {number[]|null} */
  #code = null;

  /**
   * @param {Role} role
   * @param {number} chat the chat number of MATCHED
   * @param {{keyPair?: Promise<CryptoKeyPair>|CryptoKeyPair, nonces?: () => Uint8Array<ArrayBuffer>}} [given] a pair made ahead of time; fixed values in tests
   */
  constructor(role, chat, given = {}) {
    this.#role = role;
    this.#chat = chat;
    this.#keyPair = given.keyPair ?? makeKeyPair();
    this.#nonces = given.nonces ?? makeNonce;
    this.#due = role === 'offerer' ? 'reveal' : 'commit';
  }

  /** The chat number that frames are sealed for. */
  get chat() {
    return this.#chat;
  }

  /** Whether `seal` works now. */
  get ready() {
    return this.#due === 'sealed';
  }

  /** Whether keys were agreed on, so that a resume can renew them. */
  get agreed() {
    return this.#root !== null;
  }

  /** The safety code as five numbers from 0 to 63, once the keys are there; the same over a resume. */
  get code() {
    return this.#code;
  }

  /** The offerer's commit; null for the answerer, who waits for it. */
  async begin() {
    if (this.#role === 'answerer') return null;
    const reveal = await this.#reveal();
    this.#commit = encode({ kind: 'commit', hash: toBase64Url(await sha256(reveal)) });
    return this.#commit;
  }

  /**
   * Takes the opaque part of a relayed frame.
   * @param {number} type the frame's type: part of what is authenticated
   * @param {Uint8Array} bytes
   * @returns {Promise<{send?: Uint8Array, ready?: boolean, plaintext?: string}>}
   */
  async receive(type, bytes) {
    if (this.#due === 'broken') throw new SealingError('early', 'this chat is over');
    try {
      if (bytes[0] === SEALED) return { plaintext: await this.#open(type, bytes) };
      return await this.#takeClear(type, bytes);
    } catch (error) {
      this.#due = 'broken';
      throw error;
    }
  }

  /**
   * Seals one plaintext under the next counter.
   * @param {number} type
   * @param {object} value
   * @returns {Promise<Uint8Array<ArrayBuffer>>}
   */
  async seal(type, value) {
    if (!this.#sendKey || !this.ready) throw new Error('sealing before the keys are there');
    const head = this.#head(this.#sent);
    this.#sent += 1n;
    const sealed = await crypto.subtle.encrypt(this.#parameters(type, head), this.#sendKey, pad(value));
    return concat(head, new Uint8Array(sealed));
  }

  /**
   * After a resume: new chat number, new keys and counters from 0 once both sent their renew. Gives the frame to send.
   * @param {number} chat
   */
  async renew(chat) {
    this.#chat = chat;
    this.#sendKey = this.#receiveKey = null;
    this.#due = 'renew';
    this.#ownRenew = encode({ kind: 'renew', nonce: toBase64Url(this.#nonces()) });
    return this.#ownRenew;
  }

  /** Lets go of all keys. */
  forget() {
    this.#sendKey = this.#receiveKey = this.#root = null;
    this.#due = 'broken';
  }

  async #reveal() {
    const pair = await this.#keyPair;
    this.#ownKey = new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey));
    this.#ownReveal = encode({ kind: 'reveal', key: toBase64Url(this.#ownKey), nonce: toBase64Url(this.#nonces()) });
    return this.#ownReveal;
  }

  /**
   * @param {number} type
   * @param {Uint8Array} bytes
   */
  async #takeClear(type, bytes) {
    const frame = parseClear(bytes);
    if (type !== 0x81 || !frame || frame.kind !== this.#due) throw new SealingError('clear', 'a clear frame that is not the one due');
    if (this.#due === 'commit') return this.#takeCommit(bytes);
    if (this.#due === 'reveal') return this.#takeReveal(bytes, frame);
    return this.#takeRenew(bytes, frame);
  }

  /** @param {Uint8Array} bytes */
  async #takeCommit(bytes) {
    this.#commit = bytes.slice();
    this.#due = 'reveal';
    return { send: await this.#reveal() };
  }

  /**
   * @param {Uint8Array} bytes
   * @param {Record<string, unknown>} frame
   */
  async #takeReveal(bytes, frame) {
    const offerer = this.#role === 'offerer';
    if (!offerer) {
      const hash = fromBase64Url(parseClear(this.#commit)?.hash);
      if (!hash || !equal(hash, await sha256(bytes))) throw new SealingError('commit', 'the reveal does not match its commit');
    }
    const secret = await this.#agree(frame);
    const [answererReveal, offererReveal] = offerer ? [bytes, this.#ownReveal] : [this.#ownReveal, bytes];
    const transcript = await sha256(concat(this.#commit, answererReveal, offererReveal));
    this.#root = await hkdf(secret, transcript, 'anoncam v1 root');
    this.#code = await safetyCode(transcript);
    await this.#deriveKeys(new Uint8Array(0));
    return offerer ? { send: this.#ownReveal, ready: true } : { ready: true };
  }

  /**
   * The shared secret Z with the key of the other's reveal.
   * @param {Record<string, unknown>} frame
   */
  async #agree(frame) {
    const key = fromBase64Url(frame.key);
    const nonce = fromBase64Url(frame.nonce);
    if (key?.length !== KEY_BYTES || key[0] !== 4 || nonce?.length !== NONCE_BYTES) throw new SealingError('key', 'a reveal without a proper key and nonce');
    if (equal(key, this.#ownKey)) throw new SealingError('reflected', 'the own key came back');
    try {
      const theirs = await crypto.subtle.importKey('raw', key, CURVE, false, []);
      const secret = await crypto.subtle.deriveBits({ name: 'ECDH', public: theirs }, (await this.#keyPair).privateKey, 256);
      return new Uint8Array(secret);
    } catch (cause) {
      throw new SealingError('key', `a key that is not on the curve (${cause instanceof Error ? cause.name : 'error'})`);
    }
  }

  /**
   * @param {Uint8Array} bytes
   * @param {Record<string, unknown>} frame
   */
  async #takeRenew(bytes, frame) {
    const own = this.#ownRenew;
    if (!own || fromBase64Url(frame.nonce)?.length !== NONCE_BYTES) throw new SealingError('key', 'a renew without a proper nonce');
    if (equal(bytes, own)) throw new SealingError('reflected', 'the own renew came back');
    await this.#deriveKeys(await sha256(this.#role === 'offerer' ? concat(own, bytes) : concat(bytes, own)));
    return { ready: true };
  }

  /** @param {Uint8Array<ArrayBuffer>} salt */
  async #deriveKeys(salt) {
    const root = this.#root;
    if (!root) throw new SealingError('clear', 'renew before keys were agreed on');
    const other = this.#role === 'offerer' ? 'answerer' : 'offerer';
    const [send, receive] = await Promise.all([this.#role, other].map((who) => hkdf(root, salt, `anoncam v1 ${who}`)));
    this.#sendKey = await crypto.subtle.importKey('raw', send, 'AES-GCM', false, ['encrypt']);
    this.#receiveKey = await crypto.subtle.importKey('raw', receive, 'AES-GCM', false, ['decrypt']);
    this.#sent = this.#received = 0n;
    this.#due = 'sealed';
  }

  /**
   * @param {number} type
   * @param {Uint8Array} bytes
   */
  async #open(type, bytes) {
    const key = this.#receiveKey;
    if (!key || this.#due !== 'sealed') throw new SealingError('early', 'something sealed came before the keys');
    if (bytes.length < SEALED_OVERHEAD_BYTES) throw new SealingError('tag', 'a sealed frame without a tag');
    const counter = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(1);
    if (counter !== this.#received) throw new SealingError('counter', 'a frame out of order');
    const head = this.#head(counter);
    this.#received += 1n;
    /** @type {ArrayBuffer} */
    let plain;
    try {
      plain = await crypto.subtle.decrypt(this.#parameters(type, head), key, bytes.slice(head.length));
    } catch {
      throw new SealingError('tag', 'a frame that was changed on its way');
    }
    try {
      return decoder.decode(plain);
    } catch {
      throw new SealingError('plaintext', 'a plaintext that is not UTF-8');
    }
  }

  /** @param {bigint} counter */
  #head(counter) {
    const head = new Uint8Array(1 + COUNTER_BYTES);
    head[0] = SEALED;
    new DataView(head.buffer).setBigUint64(1, counter);
    return head;
  }

  /**
   * @param {number} type
   * @param {Uint8Array} head 0x01 and the counter
   */
  #parameters(type, head) {
    const where = new Uint8Array(5);
    where[0] = type;
    new DataView(where.buffer).setUint32(1, this.#chat);
    return { name: 'AES-GCM', iv: concat(new Uint8Array(4), head.subarray(1)), additionalData: concat(where, head) };
  }
}

/**
 * UTF-8 JSON, padded with spaces.
 * @param {object} value
 */
export function pad(value) {
  const json = encoder.encode(JSON.stringify(value));
  const padded = new Uint8Array(Math.ceil(json.length / PAD_BYTES) * PAD_BYTES).fill(0x20);
  padded.set(json);
  return padded;
}

/** @param {object} value */
const encode = (value) => encoder.encode(JSON.stringify(value));

/**
 * @param {Uint8Array} bytes
 * @returns {Record<string, unknown>|null}
 */
function parseClear(bytes) {
  try {
    const value = JSON.parse(decoder.decode(bytes));
    return value !== null && typeof value === 'object' ? value : null;
  } catch {
    return null;
  }
}

/** @param {Uint8Array} bytes */
async function sha256(bytes) {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', /** @type {Uint8Array<ArrayBuffer>} */ (bytes)));
}

/**
 * HKDF-SHA-256, 32 bytes.
 * @param {Uint8Array<ArrayBuffer>} ikm
 * @param {Uint8Array<ArrayBuffer>} salt
 * @param {string} info
 */
async function hkdf(ikm, salt, info) {
  const key = await crypto.subtle.importKey('raw', ikm, 'HKDF', false, ['deriveBits']);
  return new Uint8Array(await crypto.subtle.deriveBits({ name: 'HKDF', hash: 'SHA-256', salt, info: encoder.encode(info) }, key, 256));
}
