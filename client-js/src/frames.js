// Frames (PROTOCOL.md section 2): type (1 byte), length (3 bytes), payload. Shared golden vectors: docs/vectors/frames.json.
// Comes in: bytes of the channel in any slicing. Goes out: whole frames.

/** Frame types. */
export const FrameType = Object.freeze({
  HELLO: 0x01,
  FIND: 0x02,
  LEAVE: 0x03,
  REPORT: 0x04,
  BLOCK: 0x05,
  WELCOME: 0x41,
  WAITING: 0x42,
  MATCHED: 0x43,
  ENDED: 0x44,
  PEER: 0x45,
  NOTICE: 0x46,
  DRAIN: 0x47,
  ICE: 0x48,
  SIGNAL: 0x81,
  TEXT: 0x82,
});

/** Bytes of a frame's header. */
export const HEADER_BYTES = 4;
/** Bytes of the chat number that opens a relayed payload. */
export const CHAT_BYTES = 4;

const JSON_MAX_BYTES = 4096;
/** Longest payload of each known type, in bytes. @type {Map<number, number>} */
const MAX_PAYLOAD = new Map([
  ...[0x01, 0x02, 0x04, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48].map(
    (type) => /** @type {[number, number]} */ ([type, JSON_MAX_BYTES]),
  ),
  [FrameType.LEAVE, 0],
  [FrameType.BLOCK, 0],
  [FrameType.SIGNAL, 32_768],
  [FrameType.TEXT, 8_192],
]);

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** A frame that breaks the protocol: the code is the one a session is closed with. */
export class FrameError extends Error {
  /**
   * @param {1|2} closeCode 1: protocol error, 2: frame too large
   * @param {string} message
   */
  constructor(closeCode, message) {
    super(message);
    this.name = 'FrameError';
    this.closeCode = closeCode;
  }
}

/**
 * Longest payload of a type, undefined for a type that version 1 does not know.
 * @param {number} type
 */
export const maxPayloadBytes = (type) => MAX_PAYLOAD.get(type);

/**
 * One frame: header and payload.
 * @param {number} type
 * @param {Uint8Array} [payload]
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function encodeFrame(type, payload = new Uint8Array(0)) {
  const limit = MAX_PAYLOAD.get(type);
  if (limit === undefined) throw new FrameError(1, `unknown frame type ${type}`);
  if (payload.length > limit) throw new FrameError(2, `${payload.length} bytes in a frame of at most ${limit}`);
  const frame = new Uint8Array(HEADER_BYTES + payload.length);
  new DataView(frame.buffer).setUint32(0, ((type << 24) | payload.length) >>> 0);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

/**
 * A frame whose payload is JSON.
 * @param {number} type
 * @param {object} value
 */
export const encodeJson = (type, value) => encodeFrame(type, encoder.encode(JSON.stringify(value)));

/**
 * A relayed frame: the chat number, then bytes that the server does not read.
 * @param {number} type SIGNAL or TEXT
 * @param {number} chat
 * @param {Uint8Array} opaque
 */
export function encodeRelayed(type, chat, opaque) {
  const payload = new Uint8Array(CHAT_BYTES + opaque.length);
  new DataView(payload.buffer).setUint32(0, chat);
  payload.set(opaque, CHAT_BYTES);
  return encodeFrame(type, payload);
}

/**
 * The two parts of a relayed payload.
 * @param {Uint8Array} payload
 */
export function decodeRelayed(payload) {
  if (payload.length < CHAT_BYTES) throw new FrameError(1, 'relayed payload without a chat number');
  const chat = new DataView(payload.buffer, payload.byteOffset).getUint32(0);
  return { chat, opaque: payload.subarray(CHAT_BYTES) };
}

/**
 * A JSON payload, which has to be an object.
 * @param {Uint8Array} payload
 * @returns {Record<string, unknown>}
 */
export function decodeJson(payload) {
  let value;
  try {
    value = JSON.parse(decoder.decode(payload));
  } catch {
    throw new FrameError(1, 'payload is not JSON');
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw new FrameError(1, 'payload is not a JSON object');
  return value;
}

/** Cuts the bytes of a channel into frames. Holds at most one frame; skips unknown types without keeping a byte of them. */
export class FrameReader {
  #header = new Uint8Array(HEADER_BYTES);
  #headerLength = 0;
  /** @type {Uint8Array<ArrayBuffer>|null} null while an unknown type is skipped */
  #payload = null;
  #filled = 0;
  #length = 0;
  #type = 0;

  /**
   * Takes the next bytes, yields the frames that they complete.
   * @param {Uint8Array} bytes
   * @returns {Generator<{type: number, payload: Uint8Array}>}
   */
  *push(bytes) {
    let at = 0;
    while (at < bytes.length || this.#complete()) {
      if (this.#headerLength < HEADER_BYTES) {
        this.#header[this.#headerLength++] = bytes[at++];
        if (this.#headerLength === HEADER_BYTES) this.#begin();
      } else {
        const part = bytes.subarray(at, at + this.#length - this.#filled);
        this.#payload?.set(part, this.#filled);
        this.#filled += part.length;
        at += part.length;
      }
      if (this.#complete()) {
        const payload = this.#payload;
        this.#payload = null;
        this.#headerLength = 0;
        if (payload) yield { type: this.#type, payload };
      }
    }
  }

  #complete() {
    return this.#headerLength === HEADER_BYTES && this.#filled === this.#length;
  }

  #begin() {
    const word = new DataView(this.#header.buffer).getUint32(0);
    this.#type = word >>> 24;
    this.#length = word & 0xff_ffff;
    this.#filled = 0;
    const limit = MAX_PAYLOAD.get(this.#type);
    if (limit !== undefined && this.#length > limit) throw new FrameError(2, `a frame of ${this.#length} bytes, at most ${limit} allowed`);
    this.#payload = limit === undefined ? null : new Uint8Array(this.#length);
  }
}
