// AnonCam for the browser. The files follow the path of a chat:
// site, race, link and transport (reach the server) → frames → session (find a stranger) → chat and sealing (speak) → peer and media (video).

import { AnonCamError } from './errors.js';
import { Session } from './session.js';

export { AnonCamError } from './errors.js';
export { MAX_TEXT_UNITS } from './messages.js';
export { readSite } from './site.js';

/** Letters of a case code: no two that look alike. */
const CASE_LETTERS = '23456789ABCDEFGHJKMNPQRSTVWXYZ';

/** Without a server nobody tells that the stranger left: a video that has been silent for so long is over. */
const DETACHED_SILENCE_MS = 4_000;

/** @typedef {import('./session.js').FindOptions} FindOptions */
/** @typedef {import('./session.js').ReportReason} ReportReason */
/** @typedef {import('./session.js').EndReason} EndReason */
/** @typedef {{mode: 'text'|'video', shared: string[]}} Stranger */

/**
 * The events, with what is in `event.detail`.
 * @typedef {object} AnonCamEvents
 * @property {Omit<import('./site.js').Site, 'webtransport'|'websocket'>} site what the site said before connecting; `message` is the operator's, to be shown as text
 * @property {{state: 'up'|'reconnecting'|'proving'|'down', online?: number, over?: 'webtransport'|'websocket'}} connection the way to the server; `proving`: this machine does the work that the server asked for
 * @property {{online: number, estimateMs: number|null}} waiting still searching; at most every 5 s
 * @property {Stranger} matched a chat is on
 * @property {{code: number[]}} secure keys agreed on: the safety code as five numbers from 0 to 63; again after a resume
 * @property {{id: number, text: string}} message from the stranger, to be shown as text
 * @property {{id: number}} delivered the stranger's page has this message
 * @property {{on: boolean}} typing the stranger types
 * @property {{camera: boolean, microphone: boolean}} media what the stranger sends
 * @property {{stream: MediaStream}} stream the stranger's picture and sound
 * @property {{relayed: boolean, hidden: boolean}} path how the video travels; hidden: own address unseen by the stranger
 * @property {{quality: 'good'|'fair'|'poor', roundTripMs: number, lossRatio: number}} quality
 * @property {{state: 'connected'|'interrupted'|'failed'}} video
 * @property {{state: 'away'|'back'}} stranger
 * @property {{}} detached the server lost this chat; the video goes on, text does not
 * @property {{why: EndReason}} ended the chat is over; `self`: ended here
 * @property {{fault: string}} warning somebody broke the sealing's rules; `ended` follows
 * @property {{error: AnonCamError}} notice something asked for was refused
 * @property {{error: AnonCamError}} error the search or the connection ended; `error.message` says what to do
 * @property {{withinMs: number}} draining the server will restart
 */

/**
 * @typedef {object} AnonCamOptions
 * @property {string} [site] address that serves client-config.json; the page's own by default
 * @property {boolean} [hidden] video only through a relay, so that the stranger cannot learn this address
 * @property {typeof WebTransport} [WebTransport] for tests
 * @property {typeof WebSocket} [WebSocket] for tests
 * @property {typeof fetch} [fetch] for tests
 * @property {typeof RTCPeerConnection} [RTCPeerConnection] for tests
 * @property {() => number} [random] for tests
 */

/** Anonymous one-to-one chat: find a stranger, talk, next. Nothing is stored. */
export class AnonCam extends EventTarget {
  #options;
  #session;
  #closed = false;
  /** @type {FindOptions|null} */
  #last = null;
  /** @type {MediaStream|null} */
  #stream = null;
  /** @type {import('./peer.js').Peer|null} */
  #peer = null;
  /** @type {{resolve: (stranger: Stranger) => void, reject: (error: unknown) => void}|null} */
  #finding = null;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #silence;
  #networkChanged = () => this.#session.networkChanged();

  /** @param {AnonCamOptions} [options] */
  constructor(options = {}) {
    super();
    this.#options = { ...options };
    this.#session = new Session(
      {
        site: options.site ?? globalThis.location?.origin,
        WebTransport: options.WebTransport,
        WebSocket: options.WebSocket,
        fetch: options.fetch,
        random: options.random,
      },
      {
        emit: (name, detail) => this.#emit(name, detail),
        failed: (error) => this.#failed(error),
        makePeer: (chat) => this.#makePeer(chat),
      },
    );
    globalThis.addEventListener?.('online', this.#networkChanged);
  }

  /** `idle`, `searching` or `chatting`. */
  get state() {
    return this.#session.state;
  }

  /** The safety code of this chat as five numbers from 0 to 63, null before there is one. */
  get safetyCode() {
    return this.#session.chat?.code ?? null;
  }

  /** What carries the session: `webtransport`, `websocket`, or null while there is none. */
  get over() {
    return this.#session.over;
  }

  /** Whether there is a stranger to report: in a chat, and for a minute after it. */
  get canReport() {
    return this.#session.canReport;
  }

  /**
   * Connects ahead of time. `find` does it too.
   * @param {{signal?: AbortSignal}} [options]
   */
  async connect({ signal } = {}) {
    this.#assertOpen();
    await this.#session.connect(signal);
  }

  /**
   * Looks for a stranger, leaving the one before. Resolves when a chat is on; `signal` cancels the search.
   * @param {FindOptions & {signal?: AbortSignal}} options
   * @returns {Promise<Stranger>}
   */
  find({ signal, ...options }) {
    this.#assertOpen();
    this.#settle(new AnonCamError('aborted', { message: 'Replaced by another search.' }));
    if (options.mode === 'video' && !(this.#options.RTCPeerConnection ?? globalThis.RTCPeerConnection)) throw new AnonCamError('no_webrtc');
    this.#last = options;
    /** @type {Promise<Stranger>} */
    const found = new Promise((resolve, reject) => {
      const finding = { resolve, reject };
      this.#finding = finding;
      const abort = () => {
        if (this.#finding !== finding) return;
        this.#session.leave();
        this.#settle(new AnonCamError('aborted', { cause: signal?.reason }));
      };
      if (signal?.aborted) return abort();
      signal?.addEventListener('abort', abort, { once: true });
      this.#session.find(options);
    });
    // A page that listens to `matched` and `error` need not hold this promise.
    found.catch(() => {});
    return found;
  }

  /** Another stranger, by the same wishes. */
  next() {
    if (!this.#last) throw new AnonCamError('no_chat');
    return this.find(this.#last);
  }

  /** Leaves the chat or the search; stays connected. */
  leave() {
    this.#session.leave();
    this.#settle(new AnonCamError('aborted'));
  }

  /**
   * Sends a message; gives the id that `delivered` will name.
   * @param {string} text at most 2,000 UTF-16 units
   */
  sendText(text) {
    return this.#chat().sendText(text);
  }

  /**
   * Tells that this person types, or stopped. May be called at every key.
   * @param {boolean} on
   */
  typing(on) {
    this.#session.chat?.typing(on);
  }

  /**
   * Reports the stranger of this chat, or of one that ended less than a minute ago. Ends the chat. Gives a short case code.
   * @param {ReportReason} reason
   */
  report(reason) {
    const letters = [...crypto.getRandomValues(new Uint8Array(6))].map((byte) => CASE_LETTERS[byte % CASE_LETTERS.length]);
    const caseCode = `${letters.slice(0, 3).join('')}-${letters.slice(3).join('')}`;
    this.#session.report(reason, caseCode);
    return caseCode;
  }

  /** Ends the chat; this stranger is never met again in this session. */
  block() {
    this.#session.block();
  }

  /**
   * Own camera and microphone for video chats; call again when tracks changed.
   * @param {MediaStream|null} stream
   * @param {{camera: boolean, microphone: boolean}} state what the stranger is told
   */
  useMedia(stream, state) {
    this.#stream = stream;
    if (stream) void this.#peer?.useTracks(stream).catch(() => {});
    if (this.#session.chat?.mode === 'video') this.#session.chat.tellMedia(state);
    this.#mediaState = state;
  }
  #mediaState = { camera: false, microphone: false };

  /** @param {boolean} hidden for the next video chat */
  setHidden(hidden) {
    this.#options.hidden = hidden;
  }

  /** Leaves and disconnects; nothing of the session is kept. */
  close() {
    this.#closed = true;
    globalThis.removeEventListener?.('online', this.#networkChanged);
    this.#session.close();
    this.#settle(new AnonCamError('closed'));
  }

  /**
   * addEventListener with the types of AnonCamEvents.
   * @template {keyof AnonCamEvents} Name
   * @param {Name} name
   * @param {(detail: AnonCamEvents[Name]) => void} listener
   * @param {AddEventListenerOptions} [options]
   */
  on(name, listener, options) {
    this.addEventListener(name, (event) => listener(/** @type {CustomEvent} */ (event).detail), options);
    return this;
  }

  #assertOpen() {
    if (this.#closed) throw new AnonCamError('closed');
  }

  #chat() {
    const chat = this.#session.chat;
    if (!chat) throw new AnonCamError('no_chat');
    return chat;
  }

  /**
   * @param {string} name
   * @param {object} detail
   */
  #emit(name, detail) {
    if (name === 'matched') {
      this.#finding?.resolve(/** @type {Stranger} */ (detail));
      this.#finding = null;
      if (this.#session.chat?.mode === 'video') this.#session.chat.tellMedia(this.#mediaState);
    }
    if (name === 'ended') this.#peer = null;
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** @param {AnonCamError} error */
  #failed(error) {
    this.#settle(error);
    this.#emit('error', { error });
  }

  /** @param {AnonCamError} error */
  #settle(error) {
    this.#finding?.reject(error);
    this.#finding = null;
  }

  /** @param {import('./chat.js').Chat} chat */
  async #makePeer(chat) {
    const { RTCPeerConnection = globalThis.RTCPeerConnection } = this.#options;
    const { Peer } = await import('./peer.js');
    const peer = new Peer({
      polite: chat.role === 'answerer',
      hidden: this.#options.hidden ?? false,
      ice: chat.ice,
      stream: this.#stream ?? new MediaStream(),
      signal: (value) => chat.signal(value),
      emit: (name, detail) => this.#session.chat === chat && this.#peerEvent(chat, name, detail),
      RTCPeerConnection,
    });
    if (this.#session.chat === chat) this.#peer = peer;
    return peer;
  }

  /**
   * @param {import('./chat.js').Chat} chat
   * @param {string} name
   * @param {object} detail
   */
  #peerEvent(chat, name, detail) {
    if (name === 'connected') clearTimeout(this.#silence);
    if (chat.detached && name === 'interrupted') this.#silence = setTimeout(() => this.#session.chat === chat && this.#session.end('lost'), DETACHED_SILENCE_MS);
    if (name === 'connected' || name === 'interrupted') this.#emit('video', { state: name });
    else if (name === 'no_relay') {
      this.#session.end('self');
      this.#failed(new AnonCamError('no_relay'));
    } else if (name === 'failed') {
      if (chat.detached) this.#session.end('lost');
      else this.#emit('video', { state: 'failed', ...detail });
    } else this.#emit(name, detail);
  }
}
