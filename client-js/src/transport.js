// The way to the server: finds it, opens a link, says HELLO, reconnects with jittered back-off, resumes (PROTOCOL.md sections 1, 3, 5).
// Comes in: frames to send. Goes out: `onOpen`, `onWelcome`, `onFrame`, `onDown` (reconnecting), `onFailed` (given up).

import { AnonCamError, errorFromClose, throwIfAborted } from './errors.js';
import { decodeJson, encodeJson, FrameError, FrameType } from './frames.js';
import { Link } from './link.js';
import { openChannel } from './race.js';
import { asObject, count, readSite } from './site.js';

/** First back-off step; each attempt waits a random time up to twice the one before. */
const BACKOFF_FIRST_MS = 250;
/** Largest back-off step: with many clients waiting for one server, this spreads them. */
const BACKOFF_LARGEST_MS = 5_000;
/** How long a lost link is tried again: as long as the server keeps a session for resuming (resume_s). */
const RECONNECT_FOR_MS = 60_000;
/** Longest wait for WELCOME. */
const ANSWER_TIMEOUT_MS = 10_000;

/** Most proofs of work for one WELCOME: who has proven so much and is asked again waits. */
const MAX_PROOFS = 3;
/** @type {import('./errors.js').ErrorCode[]} */
const WORTH_ANOTHER_TRY = ['site', 'offline', 'unreachable', 'no_way', 'draining', 'full', 'lost'];

/**
 * @typedef {object} Welcome
 * @property {boolean} resumed
 * @property {number} resumeMs
 * @property {number} online
 * @property {Record<string, unknown>|null} chat
 */

/**
 * @typedef {object} TransportEvents
 * @property {(site: import('./site.js').Site) => void} onSite what the site said at this attempt
 * @property {() => void} onWork the server wants proof of work first; it is being done
 * @property {() => void} onOpen HELLO is on its way; what may follow without waiting is sent now
 * @property {(welcome: Welcome) => void} onWelcome
 * @property {(type: number, payload: Uint8Array) => void} onFrame
 * @property {() => boolean} onDown the link was lost; true: reconnect
 * @property {(error: AnonCamError) => void} onFailed
 */

/**
 * @typedef {object} TransportOptions
 * @property {string} site address of the site that serves client-config.json
 * @property {typeof WebTransport} [WebTransport]
 * @property {typeof WebSocket} [WebSocket]
 * @property {typeof fetch} [fetch]
 * @property {() => number} [random]
 */

export class Transport {
  #options;
  #events;
  /** @type {Link|null} */
  #link = null;
  /** @type {string|null} in memory only, replaced at every WELCOME */
  #token = null;
  /** @type {AbortController|null} the attempt under way */
  #opening = null;
  #welcomed = false;
  #resuming = false;
  /** When the way to the server broke; null while it is whole. @type {number|null} */
  #lostAt = null;
  #stepMs = BACKOFF_FIRST_MS;
  /** Proof of work for the next HELLO; empty: none. */
  #proof = '';
  /** Proofs since the last WELCOME. */
  #proofs = 0;
  /** Whether work is being done that the server asked for. */
  proving = false;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #deadline;
  /** Wakes a back-off pause early. @type {() => void} */
  #hurry = () => {};

  /**
   * @param {TransportOptions} options
   * @param {TransportEvents} events
   */
  constructor(options, events) {
    this.#options = options;
    this.#events = events;
  }

  /** Whether FIND can be sent: also before WELCOME, unless WELCOME may bring a chat back. */
  get takesFind() {
    return this.#link !== null && (this.#welcomed || !this.#resuming);
  }

  /** What carries the session, null without one. */
  get over() {
    return this.#link?.over ?? null;
  }

  /** Whether a link is open, or being opened. */
  get active() {
    return this.#link !== null || this.#opening !== null;
  }

  /**
   * Connects, with the session's token if there is one. Resolves when the channel is open and HELLO is on its way.
   * @param {AbortSignal} [signal]
   */
  async open(signal) {
    throwIfAborted(signal);
    const opening = new AbortController();
    const abort = () => opening.abort(signal?.reason);
    this.#opening?.abort();
    this.#opening = opening;
    signal?.addEventListener('abort', abort);
    try {
      await this.#attempt(opening.signal);
    } finally {
      signal?.removeEventListener('abort', abort);
      if (this.#opening === opening) this.#opening = null;
    }
  }

  /**
   * Sends a frame; dropped when there is no link, for every state is told again after a reconnect.
   * @param {Uint8Array} frame
   */
  send(frame) {
    this.#link?.send(frame);
  }

  /**
   * Ends the session. Without a token the next `open` starts afresh.
   * @param {number} [closeCode]
   * @param {string} [reason]
   */
  close(closeCode = 0, reason = '') {
    clearTimeout(this.#deadline);
    this.#opening?.abort();
    this.#opening = null;
    this.#link?.close(closeCode, reason);
    this.#link = null;
    this.#token = null;
    this.#welcomed = false;
  }

  /** The network changed (the browser says it is back online): take the session over on a new link now. */
  renew() {
    if (!this.#token) return;
    this.#hurry();
    if (this.#opening || !this.#link) return;
    this.#link.close();
    this.#lost(null);
  }

  /** @param {AbortSignal} signal */
  async #attempt(signal) {
    const { WebTransport = globalThis.WebTransport, WebSocket = globalThis.WebSocket, fetch } = this.#options;
    const site = await readSite(this.#options.site, { fetch, signal });
    this.#events.onSite(site);
    if (!this.#token && site.state !== 'open') throw refusal(site);
    const resume = this.#token;
    const channel = await openChannel(site, { WebTransport, WebSocket }, signal);
    // Close codes come later, also when the server refuses at once: as the end of this link.
    const link = new Link(channel, {
      onFrame: (type, payload) => this.#frame(type, payload),
      onClosed: (end) => void (this.#link === link && this.#lost(end)),
    });
    this.#welcomed = false;
    this.#resuming = resume !== null;
    this.#link?.close();
    this.#link = link;
    this.#awaitWelcome(link);
    link.send(encodeJson(FrameType.HELLO, { v: 1, ...(resume && { resume }), ...(this.#proof && { work: this.#proof }) }));
    this.#proof = '';
    this.#events.onOpen();
  }

  /** @param {Link} link that is lost when it brings no WELCOME in time */
  #awaitWelcome(link) {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => {
      if (this.#link !== link) return;
      link.close();
      this.#lost(null);
    }, ANSWER_TIMEOUT_MS);
  }

  /**
   * @param {number} type
   * @param {Uint8Array} payload
   */
  #frame(type, payload) {
    try {
      if (type === FrameType.WELCOME) this.#welcome(decodeJson(payload));
      else this.#events.onFrame(type, payload);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.close(error.closeCode, error.message);
      this.#events.onFailed(new AnonCamError('protocol', { cause: error }));
    }
  }

  /** @param {Record<string, unknown>} welcome */
  #welcome(welcome) {
    if (typeof welcome.session !== 'string' || welcome.session.length > 64) throw new FrameError(1, 'WELCOME without a token');
    clearTimeout(this.#deadline);
    this.#token = welcome.session;
    this.#welcomed = true;
    this.#recovered();
    const seconds = Number(welcome.resume_s);
    this.#events.onWelcome({
      resumed: welcome.resumed === true,
      resumeMs: (seconds > 0 ? Math.min(seconds, 3600) : 60) * 1000,
      online: count(welcome.online),
      chat: asObject(welcome.chat),
    });
  }

  /** @param {{code: number|null, reason: string}|null} end null: lost without a word */
  #lost(end) {
    clearTimeout(this.#deadline);
    this.#link = null;
    this.#welcomed = false;
    const code = end?.code ?? null;
    // Lost (null), failing (7) and draining (5) can be better on another try, work that is asked for can be done; every other code is an answer.
    const error = code === null ? new AnonCamError('lost') : errorFromClose(code, end?.reason ?? '');
    const again = code === null || code === 5 || code === 7 || error.work !== undefined;
    if (again && this.#events.onDown()) void this.#reconnect(error);
    else {
      if (!again) this.#token = null;
      this.#events.onFailed(error);
    }
  }

  /** @param {AnonCamError} why */
  async #reconnect(why) {
    const opening = new AbortController();
    this.#opening = opening;
    this.#lostAt ??= Date.now();
    let error = why;
    while (this.#opening === opening && Date.now() < this.#lostAt + RECONNECT_FOR_MS) {
      try {
        await (error.work === undefined ? this.#backOff(error) : this.#prove(error, opening.signal));
        if (this.#opening !== opening) return;
        await this.#attempt(opening.signal);
        if (this.#opening === opening) this.#opening = null;
        return;
      } catch (cause) {
        error = cause instanceof AnonCamError ? cause : new AnonCamError('internal', { cause });
        if (!WORTH_ANOTHER_TRY.includes(error.code)) break;
      }
    }
    if (this.#opening !== opening) return;
    this.#opening = null;
    this.#token = null;
    this.#recovered();
    this.#events.onFailed(error);
  }

  /** The way to the server is whole again, or given up: the next loss starts from the beginning. */
  #recovered() {
    this.#lostAt = null;
    this.#stepMs = BACKOFF_FIRST_MS;
    this.#proofs = 0;
  }

  /** @param {AnonCamError} error why the attempt before failed */
  #backOff(error) {
    const random = this.#options.random ?? Math.random;
    const ms = Math.max(error.retryAfterMs ?? 0, random() * this.#stepMs);
    this.#stepMs = Math.min(this.#stepMs * 2, BACKOFF_LARGEST_MS);
    return this.#pause(ms);
  }

  /**
   * The server wants proof of work first: done here, told with the next HELLO.
   * @param {AnonCamError} error with the challenge
   * @param {AbortSignal} signal
   */
  async #prove(error, signal) {
    this.#proofs += 1;
    if (this.#proofs > MAX_PROOFS) throw new AnonCamError('rate_limited', { retryAfterMs: error.retryAfterMs });
    this.#events.onWork();
    this.proving = true;
    try {
      const { prove } = await import('./work.js');
      this.#proof = await prove(error.work, signal);
    } finally {
      this.proving = false;
    }
  }

  /** @param {number} ms */
  #pause(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#hurry = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
    });
  }
}

/**
 * Why nobody new is let in: the operator's pause, or the server's state.
 * @param {import('./site.js').Site} site
 */
function refusal({ state, paused }) {
  if (state === 'draining') return new AnonCamError('draining');
  return paused.includes('new') ? new AnonCamError('paused', { reason: 'new' }) : new AnonCamError('full');
}
