// One chat: what two people say to each other, sealed (PROTOCOL.md section 7), delivered once, over a resume too.
// Comes in: relayed frames and what the page wants to say. Goes out: relayed frames, and events for the page.
//
// One chain of promises does all work in order: sealing counts frames, so nothing may overtake. Messages stay in `#messages` until
// the stranger's page has them; other values wait in `#outbox` while the keys are not there or the stranger is away.

import { AnonCamError } from './errors.js';
import { FrameType } from './frames.js';
import { MAX_TEXT_UNITS, Messages } from './messages.js';
import { Sealing, SealingError } from './sealing.js';

/** Most other values that wait to be sealed. */
const MAX_OUTBOX = 256;
/** Most bytes that wait to be opened; a server that sends faster than this page can decrypt is not one of ours. */
const MAX_PENDING_BYTES = 4 * 1024 * 1024;
/** `typing` is told again at most this often. */
const TYPING_EVERY_MS = 2_000;

/** @typedef {import('./sealing.js').Role} Role */
/** @typedef {import('./sealing.js').SealingFault|'signal'|'flood'} Fault */
/** @typedef {{camera: boolean, microphone: boolean}} MediaState */

/**
 * What a chat needs of its surroundings.
 * @typedef {object} ChatSurroundings
 * @property {(type: number, chat: number, opaque: Uint8Array) => void} send
 * @property {(name: string, detail: object) => void} emit
 * @property {(fault: Fault) => void} fault ends the chat with a warning
 * @property {() => void} doubt nothing is acknowledged: is the connection alive?
 * @property {() => void} unresumable the keys were not agreed on when the connection broke: ends the chat without one
 * @property {((chat: Chat) => Promise<PeerLike>)|null} makePeer null in text: there is no RTCPeerConnection to make
 * @property {Promise<CryptoKeyPair>} [keyPair]
 */

/**
 * What a chat sees of peer.js.
 * @typedef {object} PeerLike
 * @property {(value: Record<string, unknown>) => Promise<void>} receive
 * @property {(ice: unknown) => void} setIce
 * @property {() => void} restart
 * @property {() => boolean} connected
 * @property {() => void} close
 */

export class Chat {
  #around;
  #number;
  #sealing;
  /** @type {PeerLike|null} */
  #peer = null;
  #away = false;
  #over = false;
  #detached = false;
  /** @type {Promise<void>} */
  #chain = Promise.resolve();
  #pendingBytes = 0;
  #messages;
  /** @type {{type: number, value: object}[]} */
  #outbox = [];
  /** @type {MediaState|null} */
  #media = null;
  #typingToldAt = 0;
  /** The key agreement began again after a resume. */
  #restarted = false;
  /** Clear frames that wait until the stranger can be reached. @type {Uint8Array[]} */
  #held = [];

  /**
   * @param {{number: number, role: Role, mode: 'text'|'video', ice: unknown, away?: boolean}} match
   * @param {ChatSurroundings} around
   */
  constructor(match, around) {
    this.#around = around;
    this.#number = match.number;
    this.role = match.role;
    this.mode = match.mode;
    this.ice = match.ice;
    this.#away = match.away ?? false;
    this.#messages = new Messages(around.doubt);
    this.#sealing = new Sealing(match.role, match.number, { keyPair: around.keyPair });
    this.#begin();
  }

  /** The current chat number; a resume changes it. */
  get number() {
    return this.#number;
  }

  /** Whether the server still knows this chat; a video goes on without it. */
  get detached() {
    return this.#detached;
  }

  /** The safety code: five numbers from 0 to 63, null before the keys are there. */
  get code() {
    return this.#sealing.code;
  }

  /**
   * A relayed frame of this chat.
   * @param {number} type
   * @param {Uint8Array} opaque
   */
  handle(type, opaque) {
    const chat = this.#number;
    this.#pendingBytes += opaque.length;
    if (this.#pendingBytes > MAX_PENDING_BYTES) return this.#around.fault('flood');
    this.#then(async () => {
      this.#pendingBytes -= opaque.length;
      if (chat === this.#number) await this.#receive(type, opaque);
    });
  }

  /**
   * Sends a message; gives its id, which `delivered` names later.
   * @param {string} text
   */
  sendText(text) {
    if (this.#over || this.#detached) throw new AnonCamError('no_chat');
    const id = this.#messages.add(text);
    if (this.#typingToldAt) this.typing(false);
    this.#then(() => this.#flush());
    return id;
  }

  /** @param {boolean} on */
  typing(on) {
    const now = Date.now();
    if (on ? now - this.#typingToldAt < TYPING_EVERY_MS : this.#typingToldAt === 0) return;
    this.#typingToldAt = on ? now : 0;
    // Never kept: a `typing` that cannot go out now would be wrong later.
    if (this.#sealing.ready && !this.#away) this.#queue(FrameType.TEXT, { kind: 'typing', on });
  }

  /**
   * Tells the stranger which of camera and microphone are on.
   * @param {MediaState} media
   */
  tellMedia(media) {
    this.#media = media;
    if (this.#sealing.ready) this.#queue(FrameType.TEXT, { kind: 'media', ...media });
  }

  /**
   * A description or candidate for the stranger's browser.
   * @param {object} value
   */
  signal(value) {
    this.#queue(FrameType.SIGNAL, value);
  }

  /** The stranger's connection went silent: what is dropped meanwhile must not be counted, so nothing is sent. */
  peerAway() {
    this.#away = true;
    this.#messages.trust();
  }

  /**
   * The stranger, or this page after a resume, is back.
   * @param {number|undefined} number the new chat number; undefined: the same connection woke, keys go on
   * @param {unknown} ice
   * @param {boolean} [away] after an own resume: whether the stranger is away
   */
  back(number, ice, away = false) {
    this.#away = away;
    if (number === undefined) return this.#wake();
    this.#number = number;
    this.#held = [];
    if (ice !== undefined) {
      this.ice = ice;
      this.#peer?.setIce(ice);
    }
    this.#outbox = [];
    this.#messages.again();
    this.#then(() => {
      // Another resume may have come before this one had its turn: only the last one counts.
      if (number !== this.#number) return undefined;
      return this.#sealing.agreed ? this.#renew(number) : this.#restart(number);
    });
  }

  #wake() {
    this.#then(() => {
      for (const frame of this.#held.splice(0)) this.#sendClear(frame);
      return this.#flush();
    });
  }

  /** @param {unknown} ice fresh TURN credentials */
  setIce(ice) {
    this.ice = ice;
    this.#peer?.setIce(ice);
  }

  /** The server forgot this chat. True if the video goes on by itself, without text. */
  detach() {
    if (!this.#peer?.connected()) return false;
    this.#detached = true;
    this.#messages.clear();
    this.#outbox = [];
    return true;
  }

  /** Ends everything of this chat: keys, peer, texts. */
  close() {
    this.#over = true;
    this.#peer?.close();
    this.#peer = null;
    this.#sealing.forget();
    this.#messages.clear();
    this.#outbox = [];
  }

  /** @param {() => unknown} work after all work before it */
  #then(work) {
    this.#chain = this.#chain.then(async () => {
      if (this.#over) return;
      try {
        await work();
      } catch (error) {
        if (this.#over) return;
        if (error instanceof SealingError) this.#around.fault(error.fault);
        else throw error;
      }
    });
    // Anything else is a defect of this library: it shows as an unhandled rejection, and the chat goes on.
    this.#chain = this.#chain.catch((error) => void Promise.reject(error));
  }

  #begin() {
    this.#then(async () => {
      const { chat } = this.#sealing;
      const commit = await this.#sealing.begin();
      if (commit && chat === this.#number) this.#sendClear(commit);
    });
  }

  /**
   * Before keys were agreed on, a resume starts the agreement again. An answerer that has sent its reveal may face an offerer
   * with keys; that one sends `renew`, which ends the chat without a warning (see #receive).
   * @param {number} number
   */
  #restart(number) {
    this.#sealing.forget();
    this.#sealing = new Sealing(this.role, number);
    this.#restarted = true;
    this.#begin();
  }

  /** @param {number} number */
  async #renew(number) {
    const renew = await this.#sealing.renew(number);
    if (number === this.#number) this.#sendClear(renew);
  }

  /**
   * @param {number} type
   * @param {Uint8Array} opaque
   */
  async #receive(type, opaque) {
    const before = this.#sealing;
    let result;
    try {
      result = await before.receive(type, opaque);
    } catch (error) {
      if (this.#restarted && !before.agreed && error instanceof SealingError && error.fault === 'clear') return this.#around.unresumable();
      throw error;
    }
    if (this.#over) return;
    if (result.send && before.chat === this.#number) this.#sendClear(result.send);
    if (result.ready) await this.#ready();
    if (result.plaintext !== undefined) await this.#plaintext(type, result.plaintext);
  }

  async #ready() {
    this.#restarted = false;
    this.#around.emit('secure', { code: this.code });
    if (this.mode === 'video' && this.#around.makePeer) {
      if (this.#peer) this.#peer.restart();
      else await this.#startPeer(this.#around.makePeer);
    }
    if (this.#media) this.#outbox.push({ type: FrameType.TEXT, value: { kind: 'media', ...this.#media } });
    await this.#flush();
  }

  /** @param {(chat: Chat) => Promise<PeerLike>} makePeer */
  async #startPeer(makePeer) {
    const peer = await makePeer(this);
    if (this.#over) peer.close();
    else this.#peer = peer;
  }

  /**
   * @param {number} type
   * @param {object} value
   */
  #queue(type, value) {
    if (this.#over || this.#detached || this.#outbox.length >= MAX_OUTBOX) return;
    this.#outbox.push({ type, value });
    this.#then(() => this.#flush());
  }

  /** Seals and sends what waits, if it can reach the stranger now. */
  async #flush() {
    // After a resume the keys are the old ones until `renew` has had its turn in the chain: nothing may be sealed with those.
    const current = () => this.#sealing.ready && this.#sealing.chat === this.#number;
    const can = () => current() && !this.#away && !this.#over && !this.#detached;
    while (can() && this.#outbox.length > 0) {
      const { type, value } = /** @type {{type: number, value: object}} */ (this.#outbox.shift());
      await this.#seal(type, value);
    }
    while (can()) {
      const message = this.#messages.next();
      if (!message) return;
      await this.#seal(FrameType.TEXT, message);
    }
  }

  /**
   * @param {number} type
   * @param {object} value
   */
  async #seal(type, value) {
    const chat = this.#number;
    const sealed = await this.#sealing.seal(type, value);
    if (!this.#over && chat === this.#number) this.#around.send(type, chat, sealed);
  }

  /** @param {Uint8Array} opaque a frame of the key agreement; held while the server would drop it */
  #sendClear(opaque) {
    if (this.#away) this.#held.push(opaque);
    else if (!this.#over) this.#around.send(FrameType.SIGNAL, this.#number, opaque);
  }

  /**
   * @param {number} type
   * @param {string} plaintext what the stranger's page says: authentic, and yet not to be trusted
   */
  async #plaintext(type, plaintext) {
    const value = parse(plaintext);
    if (!value) return;
    if (type === FrameType.SIGNAL) return this.#signal(value);
    switch (value.kind) {
      case 'message':
        return this.#message(value.id, value.text);
      case 'ack':
        return this.#messages.acknowledged(value.id) && this.#around.emit('delivered', { id: value.id });
      case 'typing':
        return this.#around.emit('typing', { on: value.on === true });
      case 'media':
        return this.#around.emit('media', { camera: value.camera === true, microphone: value.microphone === true });
      default:
        return undefined;
    }
  }

  /** @param {Record<string, unknown>} value */
  async #signal(value) {
    if (value.kind !== 'description' && value.kind !== 'candidate') return;
    // An offer in a text chat asks this browser to show its addresses: never, and said aloud.
    if (this.mode !== 'video') return this.#around.fault('signal');
    // Not awaited within the chain: negotiation may itself want to send.
    void this.#peer?.receive(value);
  }

  /**
   * @param {unknown} id
   * @param {unknown} text
   */
  #message(id, text) {
    if (typeof id !== 'number' || !Number.isSafeInteger(id) || id < 0) return;
    if (typeof text !== 'string' || text.length > MAX_TEXT_UNITS) return;
    if (this.#messages.isNew(id)) this.#around.emit('message', { id, text });
    // Acknowledged each time: the one before may have been lost with a connection.
    if (this.#outbox.length < MAX_OUTBOX) this.#outbox.push({ type: FrameType.TEXT, value: { kind: 'ack', id } });
    this.#then(() => this.#flush());
  }
}

/**
 * @param {string} plaintext
 * @returns {Record<string, unknown>|null}
 */
function parse(plaintext) {
  try {
    const value = JSON.parse(plaintext);
    return value !== null && typeof value === 'object' ? value : null;
  } catch {
    return null;
  }
}
