// The messages of one chat, each shown once: ids, acknowledgements, and what has to be sent again after a resume.
// Comes in: texts to send, texts and acknowledgements of the stranger. Goes out: what to seal next; a doubt when nothing is acknowledged.

import { AnonCamError } from './errors.js';
import { CHAT_BYTES, FrameType, maxPayloadBytes } from './frames.js';
import { pad, SEALED_OVERHEAD_BYTES } from './sealing.js';

/** Longest message, in UTF-16 units (PROTOCOL.md section 7). */
export const MAX_TEXT_UNITS = 2000;
/** Most messages that wait for their acknowledgement. */
const MAX_UNACKED = 64;
/** Bytes that a padded plaintext can have in a TEXT frame. */
const ROOM_BYTES = (maxPayloadBytes(FrameType.TEXT) ?? 0) - CHAT_BYTES - SEALED_OVERHEAD_BYTES;
/**
 * A message without its acknowledgement for so long makes the own connection doubtful: a server that was restarted leaves the old
 * connection silent, and a page sees nothing of that for 30 s.
 */
const DOUBT_AFTER_MS = 8_000;
/** Each doubt that did not help doubles the wait: a stranger's page may just be slow. */
const MAX_DOUBLINGS = 4;

/** @typedef {{kind: 'message', id: number, text: string}} Message */

export class Messages {
  /** Own messages that the stranger's page has not acknowledged, by id. @type {Map<number, {message: Message, sent: boolean}>} */
  #unacked = new Map();
  #nextId = 1;
  #lastShown = -1;
  #doubt;
  #doubts = 0;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #doubtTimer;

  /** @param {() => void} doubt nothing is acknowledged: is the connection alive? */
  constructor(doubt) {
    this.#doubt = doubt;
  }

  /**
   * Takes a message to send; gives its id.
   * @param {string} text
   */
  add(text) {
    if (text.length > MAX_TEXT_UNITS) throw new AnonCamError('text_too_long');
    if (this.#unacked.size >= MAX_UNACKED) throw new AnonCamError('busy');
    /** @type {Message} */
    const message = { kind: 'message', id: this.#nextId, text };
    if (pad(message).length > ROOM_BYTES) throw new AnonCamError('text_too_long');
    this.#nextId += 1;
    this.#unacked.set(message.id, { message, sent: false });
    return message.id;
  }

  /** The next message to seal, which from here on counts as sent; undefined when there is none. */
  next() {
    for (const entry of this.#unacked.values()) {
      if (entry.sent) continue;
      entry.sent = true;
      this.#expect();
      return entry.message;
    }
    return undefined;
  }

  /**
   * The stranger's page has a message. False if this says nothing new.
   * @param {unknown} id
   */
  acknowledged(id) {
    if (typeof id !== 'number' || !this.#unacked.get(id)?.sent) return false;
    this.#unacked.delete(id);
    this.#doubts = 0;
    this.#expect();
    return true;
  }

  /**
   * Whether a message of the stranger is to be shown: one that came again, because its acknowledgement was lost, is not.
   * @param {number} id
   */
  isNew(id) {
    if (id <= this.#lastShown) return false;
    this.#lastShown = id;
    return true;
  }

  /** After a resume: what was not acknowledged is sent again. */
  again() {
    this.trust();
    for (const entry of this.#unacked.values()) entry.sent = false;
  }

  /** No doubt until the next message: the stranger is away, or the connection is new. */
  trust() {
    clearTimeout(this.#doubtTimer);
  }

  /** Forgets everything that waits. */
  clear() {
    this.trust();
    this.#unacked.clear();
  }

  /** Starts waiting for the next acknowledgement, if one is due. */
  #expect() {
    clearTimeout(this.#doubtTimer);
    if (![...this.#unacked.values()].some(({ sent }) => sent)) return;
    this.#doubtTimer = setTimeout(() => {
      this.#doubts += 1;
      this.#doubt();
    }, DOUBT_AFTER_MS * 2 ** Math.min(this.#doubts, MAX_DOUBLINGS));
  }
}
