// One connection to the server: frames over a channel of bytes (PROTOCOL.md section 2).
// Comes in: frames to write. Goes out: frames read, then exactly one `onClosed`. Never reconnects; transport.js does that.

import { FrameError, FrameReader } from './frames.js';
import { quietly } from './within.js';

/** After the channel broke: longest wait for the session's close code, which may arrive a little later. */
const CLOSE_CODE_TIMEOUT_MS = 1_000;
/** Most bytes that wait to be written. A page never has that much to say; past it the link is closed. */
const MAX_UNSENT_BYTES = 1024 * 1024;

/**
 * @typedef {object} LinkEvents
 * @property {(type: number, payload: Uint8Array) => void} onFrame
 * @property {(end: {code: number|null, reason: string}) => void} onClosed code null: the connection was lost without one
 */

export class Link {
  #channel;
  /** @type {LinkEvents|null} null once closed */
  #events;
  /** @type {Uint8Array[]} */
  #unsent = [];
  #unsentBytes = 0;
  #writing = false;

  /**
   * @param {import('./webtransport.js').Channel} channel
   * @param {LinkEvents} events
   */
  constructor(channel, events) {
    this.#channel = channel;
    this.#events = events;
    channel.writer.closed.catch(() => {});
    void channel.closed.then(({ code, reason }) => this.#ended(code, reason));
    void this.#read(channel.reader);
  }

  /** What carries it. */
  get over() {
    return this.#channel.over;
  }

  /** Whether frames can be written. */
  get open() {
    return this.#events !== null;
  }

  /**
   * Writes a frame after those written before. Reading goes on meanwhile.
   * @param {Uint8Array} frame
   */
  send(frame) {
    if (!this.open) return;
    this.#unsent.push(frame);
    this.#unsentBytes += frame.length;
    if (this.#unsentBytes > MAX_UNSENT_BYTES) this.#fail(0, 'too much waits to be written');
    else if (!this.#writing) void this.#write();
  }

  /**
   * Closes the session; `onClosed` is not called any more.
   * @param {number} [closeCode]
   * @param {string} [reason]
   */
  close(closeCode = 0, reason = '') {
    this.#events = null;
    this.#unsent = [];
    this.#channel.close(closeCode, reason);
  }

  async #write() {
    this.#writing = true;
    try {
      for (let frame = this.#unsent.shift(); frame; frame = this.#unsent.shift()) {
        await this.#channel.writer.write(frame);
        this.#unsentBytes -= frame.length;
      }
    } catch {
      this.#brokeOff();
    }
    this.#writing = false;
  }

  /** @param {ReadableStreamDefaultReader<Uint8Array>} reader */
  async #read(reader) {
    const frames = new FrameReader();
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done || !this.open) break;
        for (const { type, payload } of frames.push(value)) this.#events?.onFrame(type, payload);
      }
    } catch (error) {
      if (error instanceof FrameError) this.#fail(error.closeCode, error.message);
    }
    quietly(() => reader.releaseLock());
    this.#brokeOff();
  }

  /** The channel is gone: the session's close code follows soon, or never. */
  #brokeOff() {
    if (this.open) setTimeout(() => this.#fail(null, ''), CLOSE_CODE_TIMEOUT_MS);
  }

  /**
   * @param {number|null} code
   * @param {string} reason
   */
  #fail(code, reason) {
    const events = this.#events;
    this.close(code ?? 0, reason);
    events?.onClosed({ code, reason });
  }

  /**
   * @param {number|null} code
   * @param {string} reason
   */
  #ended(code, reason) {
    const events = this.#events;
    this.#events = null;
    this.#unsent = [];
    events?.onClosed({ code, reason });
  }
}
