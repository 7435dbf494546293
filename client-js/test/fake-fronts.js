// Doubles of WebTransport and WebSocket, as far as this client uses them: the fronts of the server in fake-server.js.

import { FrameReader } from '../src/frames.js';

/** @typedef {import('./fake-server.js').FakeServer} FakeServer */

/** One session as the server sees it. */
export class Pipe {
  /** @type {any} the person whose session it is */ person = null;
  reader = new FrameReader();
  open = true;
  /** @type {(info: {closeCode: number, reason: string}) => void} */ resolveClosed = () => {};
  /** @type {(error: Error) => void} */ rejectClosed = () => {};
  /** @type {{enqueue: (bytes: Uint8Array) => void, close: () => void, error: (error: Error) => void}|null} */ toClient = null;
  /** @param {Uint8Array} frame */
  write(frame) {
    if (!this.open) return;
    // Two pieces, so that clients have to put frames together.
    this.toClient?.enqueue(frame.slice(0, 3));
    this.toClient?.enqueue(frame.slice(3));
  }
  /** @param {number} closeCode @param {string} reason */
  close(closeCode, reason) {
    if (!this.open) return;
    this.open = false;
    this.toClient?.close();
    this.resolveClosed({ closeCode, reason });
  }
  cut() {
    this.open = false;
    this.toClient?.error(new Error('connection lost'));
    this.rejectClosed(new Error('connection lost'));
  }
}

/** @param {FakeServer} server @returns {any} */
export function fakeWebTransport(server) {
  return class {
    /** @type {Promise<object>} */ closed;
    ready;
    pipe = new Pipe();
    constructor() {
      this.closed = new Promise((resolve, reject) => Object.assign(this.pipe, { resolveClosed: resolve, rejectClosed: reject }));
      this.ready = server.reachable && server.udp === 'open' ? Promise.resolve()
        : server.udp === 'silent' ? new Promise(() => {}) : Promise.reject(new Error('no route'));
      server.sessions += 1;
    }
    async createBidirectionalStream() {
      const { pipe } = this;
      const readable = new ReadableStream({ start: (controller) => void (pipe.toClient = controller) });
      const writable = new WritableStream({ write: (bytes) => server.bytes(pipe, bytes) });
      if (server.refuse) pipe.close(server.refuse.code, server.refuse.reason);
      return { readable, writable };
    }
    close({ closeCode = 0, reason = '' } = {}) {
      if (!this.pipe.open) return;
      server.closedByClient += 1;
      this.pipe.close(closeCode, reason);
      server.gone(this.pipe);
    }
  };
}

/** @param {FakeServer} server @returns {any} */
export function fakeWebSocket(server) {
  return class FakeWebSocket extends EventTarget {
    OPEN = 1;
    readyState = 0;
    bufferedAmount = 0;
    /** What the client closed with. @type {{code?: number, reason?: string}|null} */ said = null;
    pipe = new Pipe();
    constructor() {
      super();
      server.sockets += 1;
      const { pipe } = this;
      pipe.toClient = { enqueue: (bytes) => this.#later(() => this.dispatchEvent(new MessageEvent('message', { data: bytes.buffer }))), close: () => {}, error: () => {} };
      pipe.resolveClosed = ({ closeCode, reason }) => this.#closed(4000 + closeCode, reason);
      pipe.rejectClosed = () => this.#closed(1006, '');
      setTimeout(() => {
        if (this.readyState !== 0) return;
        if (!server.reachable) return this.#closed(1006, '');
        this.readyState = this.OPEN;
        this.dispatchEvent(new Event('open'));
        if (server.refuse) pipe.close(server.refuse.code, server.refuse.reason);
      }, server.webSocketMs).unref();
    }
    /** @param {Uint8Array} bytes */
    send(bytes) {
      this.#later(() => this.pipe.open && server.bytes(this.pipe, bytes));
    }
    /** @param {number} [code] @param {string} [reason] */
    close(code, reason) {
      if (this.readyState > 1) return;
      this.said = { code, reason };
      server.closedByClient += 1;
      this.pipe.open = false;
      server.gone(this.pipe);
      this.#closed(code ?? 1005, reason ?? '');
    }
    /** @param {number} code @param {string} reason */
    #closed(code, reason) {
      this.readyState = 3;
      this.#later(() => this.dispatchEvent(Object.assign(new Event('close'), { code, reason })));
    }
    /** In its turn, as a task of its own, as in a browser. @param {() => void} action */
    #later(action) {
      setTimeout(action);
    }
  };
}
