// A stranger who speaks the protocol frame by frame, so that tests can say what no well-behaved client says.

import { decodeJson, decodeRelayed, encodeJson, encodeRelayed, FrameReader, FrameType as T } from '../src/frames.js';
import { Sealing } from '../src/sealing.js';

export class RawPerson {
  #reader = new FrameReader();
  #chat = 0;
  /** @type {Sealing|null} */
  #sealing = null;
  /** @type {{type: number, payload: Uint8Array}[]} */
  #frames = [];

  /** @param {import('./fake-server.js').FakeServer} server */
  constructor(server) {
    this.session = new server.options.WebTransport();
  }

  /** @param {string} mode */
  async find(mode) {
    const stream = await this.session.createBidirectionalStream();
    this.writer = stream.writable.getWriter();
    this.bytes = stream.readable.getReader();
    await this.writer.write(encodeJson(T.HELLO, { v: 1 }));
    await this.writer.write(encodeJson(T.FIND, { n: 1, mode }));
    const match = decodeJson((await this.#next(T.MATCHED)).payload);
    this.#chat = Number(match.chat);
    this.#sealing = new Sealing(match.role === 'offerer' ? 'offerer' : 'answerer', this.#chat);
  }

  /** Agrees on keys as published. */
  async agree() {
    const sealing = /** @type {Sealing} */ (this.#sealing);
    const commit = await sealing.begin();
    if (commit) await this.writer.write(encodeRelayed(T.SIGNAL, this.#chat, commit));
    while (!sealing.ready) {
      const { opaque } = decodeRelayed((await this.#next(T.SIGNAL)).payload);
      const { send } = await sealing.receive(T.SIGNAL, opaque);
      if (send) await this.writer.write(encodeRelayed(T.SIGNAL, this.#chat, send));
    }
  }

  /** Seals anything at all. @param {number} type @param {object} value */
  async send(type, value) {
    const sealed = await /** @type {Sealing} */ (this.#sealing).seal(type, value);
    await this.writer.write(encodeRelayed(type, this.#chat, sealed));
  }

  /** The next frame of a type; others before it are passed over. @param {number} type */
  async #next(type) {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame?.type === type) return frame;
      if (frame) continue;
      const { value, done } = await this.bytes.read();
      if (done) throw new Error('closed');
      this.#frames.push(...this.#reader.push(value));
    }
  }
}
