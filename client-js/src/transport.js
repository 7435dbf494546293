// The way to the server: finds it, opens a link, says HELLO, reconnects with jittered back-off, resumes (PROTOCOL.md sections 1, 3, 5).
// Comes in: frames to send. Goes out: `onOpen`, `onWelcome`, `onFrame`, `onDown` (reconnecting), `onFailed` (given up).

import { AnonCamError, errorFromClose, throwIfAborted } from './errors.js';
import { decodeJson, encodeJson, FrameError, FrameType } from './frames.js';
import { Link, within } from './link.js';

/** First back-off step; each attempt waits a random time up to twice the one before. */
const BACKOFF_FIRST_MS = 250;
/** Largest back-off step: with many clients waiting for one server, this spreads them. */
const BACKOFF_LARGEST_MS = 5_000;
/** How long a lost link is tried again: as long as the server keeps a session for resuming (resume_s). */
const RECONNECT_FOR_MS = 60_000;
/** Longest wait for client-config.json and for WELCOME. */
const ANSWER_TIMEOUT_MS = 10_000;

/**
 * @typedef {object} Welcome
 * @property {boolean} resumed
 * @property {number} resumeMs
 * @property {number} online
 * @property {Record<string, unknown>|null} chat
 */

/**
 * @typedef {object} TransportEvents
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
    const { fetch: get = globalThis.fetch, WebTransport: Native = globalThis.WebTransport } = this.#options;
    if (!Native) throw new AnonCamError('unsupported');
    const config = await readConfig(get, this.#options.site, signal);
    if (!this.#token && (config.state === 'full' || config.state === 'draining')) throw new AnonCamError(config.state);
    const resume = this.#token;
    /** @type {Link|undefined} */
    let link;
    /** @type {{code: number|null, reason: string}|undefined} */
    let ended;
    link = await Link.open(config.endpoint, Native, {
      onFrame: (type, payload) => this.#frame(type, payload),
      onClosed: (end) => {
        // A refusal can close the session before this link is in place: it is looked at below.
        ended = end;
        if (link && this.#link === link) this.#lost(end);
      },
    }, signal);
    if (signal.aborted) link.close();
    throwIfAborted(signal);
    if (ended) throw ended.code === null ? new AnonCamError('lost') : errorFromClose(ended.code, ended.reason);
    this.#welcomed = false;
    this.#resuming = resume !== null;
    this.#link?.close();
    this.#link = link;
    this.#awaitWelcome(link);
    link.send(encodeJson(FrameType.HELLO, resume ? { v: 1, resume } : { v: 1 }));
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
    // Lost (null), failing (7) and draining (5) can be better on another try; every other code is an answer.
    const again = code === null || code === 5 || code === 7;
    const error = code === null ? new AnonCamError('lost') : errorFromClose(code, end?.reason ?? '');
    if (again && this.#events.onDown()) void this.#reconnect(error);
    else {
      if (!again) this.#token = null;
      this.#events.onFailed(error);
    }
  }

  /** @param {AnonCamError} why */
  async #reconnect(why) {
    const random = this.#options.random ?? Math.random;
    const until = Date.now() + RECONNECT_FOR_MS;
    const opening = new AbortController();
    this.#opening = opening;
    let step = BACKOFF_FIRST_MS;
    let error = why;
    while (this.#opening === opening && Date.now() < until) {
      await this.#pause(Math.max(error.retryAfterMs ?? 0, random() * step));
      step = Math.min(step * 2, BACKOFF_LARGEST_MS);
      if (this.#opening !== opening) return;
      try {
        await this.#attempt(opening.signal);
        if (this.#opening === opening) this.#opening = null;
        return;
      } catch (cause) {
        error = cause instanceof AnonCamError ? cause : new AnonCamError('internal', { cause });
        if (!['site', 'offline', 'unreachable', 'draining', 'full', 'lost'].includes(error.code)) break;
      }
    }
    if (this.#opening !== opening) return;
    this.#opening = null;
    this.#token = null;
    this.#events.onFailed(error);
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
 * client-config.json: asked for at every attempt, since certificates and addresses change.
 * @param {typeof fetch} get
 * @param {string} site
 * @param {AbortSignal} signal
 */
async function readConfig(get, site, signal) {
  /** @type {Record<string, unknown>} */
  let config;
  try {
    const answer = await within(
      get(new URL('/client-config.json', site), { cache: 'no-store', credentials: 'omit', referrerPolicy: 'no-referrer', signal }),
      ANSWER_TIMEOUT_MS,
      signal,
    );
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    config = asObject(await answer.json()) ?? {};
  } catch (cause) {
    throwIfAborted(signal);
    throw new AnonCamError(globalThis.navigator?.onLine === false ? 'offline' : 'site', { cause });
  }
  const where = asObject(config.webtransport);
  if (config.protocol !== 1 || typeof where?.url !== 'string') throw new AnonCamError('site', { cause: 'client-config.json' });
  const hashes = where.serverCertificateHashes;
  return {
    state: config.state,
    endpoint: {
      url: where.url,
      serverCertificateHashes: Array.isArray(hashes) ? hashes.filter((hash) => typeof hash === 'string').slice(0, 4) : undefined,
    },
  };
}

/**
 * A number of people, 0 if it is anything else.
 * @param {unknown} value
 */
export const count = (value) => (typeof value === 'number' && value >= 0 ? Math.floor(value) : 0);

/**
 * @param {unknown} value
 * @returns {Record<string, unknown>|null}
 */
export const asObject = (value) =>
  value !== null && typeof value === 'object' && !Array.isArray(value) ? /** @type {Record<string, unknown>} */ (value) : null;
