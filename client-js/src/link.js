// One WebTransport session and its channel: a single bidirectional stream of frames (PROTOCOL.md sections 1 and 2).
// Comes in: frames to write. Goes out: frames read, then exactly one `onClosed`. Never reconnects; transport.js does that.

import { fromBase64 } from './bytes.js';
import { AnonCamError } from './errors.js';
import { FrameError, FrameReader } from './frames.js';

/** Longest wait for a session to open. A network that blocks UDP lets the attempt hang, so this is how it shows. */
const OPEN_TIMEOUT_MS = 10_000;
/** After the channel broke: longest wait for the session's close code, which may arrive a little later. */
const CLOSE_CODE_TIMEOUT_MS = 1_000;
/** Most bytes that wait to be written. A page never has that much to say; past it the link is closed. */
const MAX_UNSENT_BYTES = 1024 * 1024;

/**
 * @typedef {object} LinkEvents
 * @property {(type: number, payload: Uint8Array) => void} onFrame
 * @property {(end: {code: number|null, reason: string}) => void} onClosed code null: the connection was lost without one
 */

/**
 * @typedef {object} Endpoint where the server is, from client-config.json
 * @property {string} url
 * @property {string[]} [serverCertificateHashes]
 */

export class Link {
  #session;
  /** @type {LinkEvents|null} null once closed */
  #events;
  /** @type {WritableStreamDefaultWriter<Uint8Array>|null} */
  #writer = null;
  /** @type {Uint8Array[]} */
  #unsent = [];
  #unsentBytes = 0;
  #writing = false;

  /**
   * Opens a session and its channel.
   * @param {Endpoint} endpoint
   * @param {typeof WebTransport} Transport
   * @param {LinkEvents} events
   * @param {AbortSignal} [signal]
   */
  static async open(endpoint, Transport, events, signal) {
    const session = new Transport(endpoint.url, {
      congestionControl: 'low-latency',
      serverCertificateHashes: endpoint.serverCertificateHashes?.map((hash) => ({ algorithm: 'sha-256', value: fromBase64(hash) })),
    });
    // A session that is given up must not show up as an unhandled rejection.
    session.closed.catch(() => {});
    session.ready.catch(() => {});
    try {
      await within(session.ready, OPEN_TIMEOUT_MS, signal);
      const stream = await within(session.createBidirectionalStream(), OPEN_TIMEOUT_MS, signal);
      return new Link(session, stream, events);
    } catch (cause) {
      quietly(() => session.close());
      if (cause instanceof AnonCamError) throw cause;
      throw new AnonCamError('unreachable', { cause });
    }
  }

  /**
   * @param {WebTransport} session
   * @param {WebTransportBidirectionalStream} stream
   * @param {LinkEvents} events
   */
  constructor(session, stream, events) {
    this.#session = session;
    this.#events = events;
    this.#writer = stream.writable.getWriter();
    this.#writer.closed.catch(() => {});
    session.closed.then(
      (info) => this.#ended(info?.closeCode ?? 0, info?.reason ?? ''),
      () => this.#ended(null, ''),
    );
    void this.#read(stream.readable.getReader());
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
    quietly(() => this.#session.close({ closeCode, reason }));
  }

  async #write() {
    this.#writing = true;
    try {
      for (let frame = this.#unsent.shift(); frame && this.#writer; frame = this.#unsent.shift()) {
        await this.#writer.write(frame);
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

/**
 * A promise with a deadline and a way to cancel.
 * @template T
 * @param {Promise<T>} promise
 * @param {number} timeoutMs
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 */
export function within(promise, timeoutMs, signal) {
  return new Promise((resolve, reject) => {
    const aborted = () => settle(() => reject(new AnonCamError('aborted', { cause: signal?.reason })));
    const timer = setTimeout(() => settle(() => reject(new AnonCamError('unreachable'))), timeoutMs);
    /** @param {() => void} action */
    const settle = (action) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', aborted);
      action();
    };
    if (signal?.aborted) return aborted();
    signal?.addEventListener('abort', aborted);
    promise.then(
      (value) => settle(() => resolve(value)),
      (error) => settle(() => reject(error)),
    );
  });
}

/** @param {() => void} action something that may throw when it is too late for it */
function quietly(action) {
  try {
    action();
  } catch {
    // The session or stream was already closed: that is what was wanted.
  }
}
