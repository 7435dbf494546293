// The session with the server: idle, searching or chatting (PROTOCOL.md sections 3 to 6).
// Comes in: what the page wants, and the server's frames. Goes out: frames to the server, the current Chat, events for the page.

import { Chat } from './chat.js';
import { AnonCamError } from './errors.js';
import { decodeJson, decodeRelayed, encodeFrame, encodeJson, encodeRelayed, FrameType } from './frames.js';
import { makeKeyPair } from './sealing.js';
import { asObject, asStrings, count } from './site.js';
import { Transport } from './transport.js';

/** @typedef {'text'|'video'} Mode */
/** @typedef {'left'|'lost'|'stalled'|'draining'|'warning'|'self'} EndReason */
/** @typedef {'minor'|'sexual'|'harassment'|'spam'|'other'} ReportReason */
/**
 * @typedef {object} FindOptions
 * @property {Mode} mode
 * @property {string[]} [interests] at most 10 of 1 to 32 characters
 * @property {boolean} [strict] only strangers who share an interest
 * @property {string[]} [langs] at most 5 primary language subtags, such as "en"
 */

/** How long after its end the last chat can be reported. */
const REPORT_WINDOW_MS = 60_000;
const ROLES = ['offerer', 'answerer'];

/**
 * @typedef {object} SessionHooks
 * @property {(name: string, detail: object) => void} emit
 * @property {(error: AnonCamError) => void} failed the search or the connection ended for good
 * @property {(chat: Chat) => Promise<import('./chat.js').PeerLike>} makePeer
 */

export class Session {
  #hooks;
  #transport;
  #n = 0;
  /** @type {FindOptions|null} what is looked for; null when not searching */
  #search = null;
  /** Whether FIND of this search went out on this link. */
  #findSent = false;
  /** @type {Chat|null} */
  #chat = null;
  #lastEndedAt = -Infinity;
  /** @type {Promise<CryptoKeyPair>|undefined} made while searching, so that a match need not wait for it */
  #keyPair;
  #draining = false;

  /**
   * @param {import('./transport.js').TransportOptions} options
   * @param {SessionHooks} hooks
   */
  constructor(options, hooks) {
    this.#hooks = hooks;
    this.#transport = new Transport(options, {
      onSite: ({ webtransport, websocket, ...said }) => this.#hooks.emit('site', said),
      onWork: () => this.#hooks.emit('connection', { state: 'proving' }),
      onOpen: () => this.#opened(),
      onWelcome: (welcome) => this.#welcomed(welcome),
      onFrame: (type, payload) => this.#frame(type, payload),
      onDown: () => this.#down(),
      onFailed: (error) => this.#failed(error),
    });
  }

  /** @returns {'idle'|'searching'|'chatting'} */
  get state() {
    return this.#chat ? 'chatting' : this.#search ? 'searching' : 'idle';
  }

  /** What carries the session, null without one. */
  get over() {
    return this.#transport.over;
  }

  /** The chat that is on. */
  get chat() {
    return this.#chat;
  }

  /** @param {AbortSignal} [signal] */
  async connect(signal) {
    if (this.#transport.active) return;
    try {
      await this.#transport.open(signal);
    } catch (error) {
      if (this.#search) this.#failed(/** @type {AnonCamError} */ (error));
      throw error;
    }
  }

  /**
   * Leaves what is on and looks for a stranger: in a chat this is "next", one frame.
   * @param {FindOptions} options
   */
  find(options) {
    this.#dropChat('self');
    this.#search = { ...options };
    this.#findSent = false;
    this.#keyPair = makeKeyPair();
    if (this.#draining && this.#transport.active) this.#reconnectFresh();
    this.#sendFind();
    if (!this.#transport.active) this.#open();
  }

  #open() {
    this.#transport.open().catch((error) => error.code === 'aborted' || this.#failed(error));
  }

  /** Leaves the chat or the search and stays connected. */
  leave() {
    if (this.state === 'idle') return;
    this.#search = null;
    this.#dropChat('self');
    this.#transport.send(encodeFrame(FrameType.LEAVE));
    // Nobody's machine works for a search that is over.
    if (this.#transport.proving) this.#transport.close();
  }

  /**
   * Reports the stranger of this chat, or of the last one; ends the chat.
   * @param {ReportReason} reason
   * @param {string} caseCode
   */
  report(reason, caseCode) {
    if (!this.canReport) throw new AnonCamError('no_stranger');
    this.#transport.send(encodeJson(FrameType.REPORT, { reason, case: caseCode }));
    this.#lastEndedAt = -Infinity;
    this.#dropChat('self', false);
  }

  /** Whether there is somebody to report. */
  get canReport() {
    return (this.#chat !== null && !this.#chat.detached) || Date.now() - this.#lastEndedAt < REPORT_WINDOW_MS;
  }

  /** Ends the chat; these two sessions never meet again. */
  block() {
    if (!this.canReport) throw new AnonCamError('no_stranger');
    this.#transport.send(encodeFrame(FrameType.BLOCK));
    this.#dropChat('self');
  }

  /** Ends the session. */
  close() {
    this.leave();
    this.#transport.close();
  }

  /** The network changed. */
  networkChanged() {
    if (this.state !== 'idle') this.#transport.renew();
  }

  #sendFind() {
    if (!this.#search || this.#findSent || !this.#transport.takesFind) return;
    this.#findSent = true;
    this.#n = (this.#n + 1) % 0x7fff_ffff;
    const { mode, interests = [], strict = false, langs = [] } = this.#search;
    this.#transport.send(encodeJson(FrameType.FIND, { n: this.#n, mode, interests, strict, langs }));
  }

  #opened() {
    this.#findSent = false;
    this.#sendFind();
  }

  /** @param {import('./transport.js').Welcome} welcome */
  #welcomed(welcome) {
    this.#draining = false;
    this.#hooks.emit('connection', { state: 'up', online: welcome.online, over: this.over });
    const back = asChat(welcome.chat);
    if (welcome.resumed && back) this.#resumed(back, asObject(welcome.chat)?.stranger === 'away');
    else this.#afresh(welcome.resumed);
  }

  /**
   * @param {Match} back
   * @param {boolean} away
   */
  #resumed(back, away) {
    if (this.#chat) {
      this.#chat.back(back.number, back.ice, away);
      if (away) this.#hooks.emit('stranger', { state: 'away' });
    } else if (this.#search?.mode === back.mode) {
      // Paired just when the connection broke: the chat begins now.
      this.#matched({ ...back, away });
    } else {
      this.#transport.send(encodeFrame(FrameType.LEAVE));
      this.#sendFind();
    }
  }

  /** @param {boolean} resumed */
  #afresh(resumed) {
    const chat = this.#chat;
    if (chat && !chat.detached) {
      if (!resumed && chat.detach()) this.#hooks.emit('detached', {});
      else this.#ended('lost');
    }
    this.#sendFind();
  }

  #down() {
    const again = this.state === 'searching' || (this.#chat !== null && !this.#chat.detached);
    if (again) this.#hooks.emit('connection', { state: 'reconnecting' });
    return again;
  }

  /** @param {AnonCamError} error */
  #failed(error) {
    const chat = this.#chat;
    if (chat && !chat.detached) {
      if (error.code !== 'banned' && chat.detach()) this.#hooks.emit('detached', {});
      else this.#ended('lost');
    }
    const searching = this.#search !== null;
    this.#search = null;
    this.#hooks.emit('connection', { state: 'down' });
    // Nobody has to be told that an idle connection was lost: the next find() opens another.
    if (searching || (error.code !== 'lost' && error.code !== 'idle')) this.#hooks.failed(error);
  }

  /**
   * @param {number} type
   * @param {Uint8Array} payload
   */
  #frame(type, payload) {
    if (type === FrameType.SIGNAL || type === FrameType.TEXT) {
      const { chat, opaque } = decodeRelayed(payload);
      if (this.#chat?.number === chat) this.#chat.handle(type, opaque);
      return;
    }
    const value = decodeJson(payload);
    if (type === FrameType.WAITING) this.#waiting(value);
    else if (type === FrameType.MATCHED) this.#match(value);
    else if (type === FrameType.ENDED) value.chat === this.#chat?.number && this.#ended(asEndReason(value.why));
    else if (type === FrameType.PEER) this.#peer(value);
    else if (type === FrameType.ICE) value.chat === this.#chat?.number && this.#chat?.setIce(value.ice);
    else if (type === FrameType.NOTICE) this.#notice(value);
    else if (type === FrameType.DRAIN) this.#drain(value);
  }

  /** @param {Record<string, unknown>} value */
  #waiting(value) {
    if (value.n !== this.#n || !this.#search) return;
    const estimate = value.estimate_ms;
    this.#hooks.emit('waiting', { online: count(value.online), estimateMs: typeof estimate === 'number' && estimate >= 0 ? estimate : null });
  }

  /** @param {Record<string, unknown>} value */
  #match(value) {
    const match = asChat(value);
    if (value.n !== this.#n || !this.#search || !match) return;
    this.#matched({ ...match, shared: asStrings(value.shared) });
  }

  /** @param {Match & {away?: boolean}} match */
  #matched(match) {
    this.#search = null;
    const keyPair = this.#keyPair;
    this.#keyPair = undefined;
    /** @type {(action: () => void) => () => void} */
    const ifCurrent = (action) => () => this.#chat === chat && action();
    /** @type {Chat} */
    const chat = new Chat(match, {
      send: (type, number, opaque) => this.#transport.send(encodeRelayed(type, number, opaque)),
      emit: (name, detail) => ifCurrent(() => this.#hooks.emit(name, detail))(),
      fault: (fault) => ifCurrent(() => this.#warn(fault))(),
      doubt: ifCurrent(() => this.#transport.renew()),
      unresumable: () => ifCurrent(() => this.#endHere('lost'))(),
      makePeer: match.mode === 'video' ? this.#hooks.makePeer : null,
      keyPair,
    });
    this.#chat = chat;
    this.#hooks.emit('matched', { mode: match.mode, shared: match.shared ?? [] });
    if (match.away) this.#hooks.emit('stranger', { state: 'away' });
  }

  /** @param {import('./chat.js').Fault} fault */
  #warn(fault) {
    this.#hooks.emit('warning', { fault });
    this.#endHere('warning');
  }

  /** @param {EndReason} why */
  #endHere(why) {
    this.#transport.send(encodeFrame(FrameType.LEAVE));
    this.#ended(why);
  }

  /** The current chat ends on its own terms, such as a video without relay. @param {EndReason} why */
  end(why) {
    if (this.#chat) this.#endHere(why);
  }

  /** @param {Record<string, unknown>} value */
  #peer(value) {
    const chat = this.#chat;
    if (!chat || value.chat !== chat.number) return;
    if (value.state === 'away') chat.peerAway();
    else if (value.state === 'back') chat.back(asChatNumber(value.new_chat), value.ice);
    else return;
    this.#hooks.emit('stranger', { state: value.state });
  }

  /** @param {Record<string, unknown>} value */
  #notice(value) {
    const code = value.code === 'rate_limited' || value.code === 'paused' ? value.code : 'bad_request';
    const wait = value.retry_after_ms;
    const details = {
      message: typeof value.message === 'string' ? value.message.slice(0, 300) : undefined,
      retryAfterMs: typeof wait === 'number' && wait >= 0 ? wait : undefined,
      reason: code === 'paused' ? this.#search?.mode : undefined,
    };
    const error = new AnonCamError(code, details);
    // A FIND that was refused has changed nothing at the server: what was on there is left now, and the search is over.
    if (this.#search) {
      this.#search = null;
      this.#transport.send(encodeFrame(FrameType.LEAVE));
      this.#hooks.failed(error);
    } else this.#hooks.emit('notice', { error });
  }

  /** @param {Record<string, unknown>} value */
  #drain(value) {
    const within = Math.min(count(value.within_ms), 3_600_000);
    this.#draining = true;
    this.#hooks.emit('draining', { withinMs: within });
    if (this.state === 'searching') this.#reconnectFresh();
    else if (this.state === 'idle') this.#transport.close();
  }

  /** Leaves a draining server for another one; the search begins again there. */
  #reconnectFresh() {
    this.#draining = false;
    this.#transport.close();
    this.#open();
  }

  /** @param {EndReason} why */
  #ended(why) {
    this.#dropChat(why);
    if (this.#draining) {
      this.#draining = false;
      this.#transport.close();
    }
  }

  /**
   * @param {EndReason} why
   * @param {boolean} [reportable]
   */
  #dropChat(why, reportable = true) {
    const chat = this.#chat;
    if (!chat) return;
    this.#chat = null;
    chat.close();
    if (reportable && !chat.detached) this.#lastEndedAt = Date.now();
    this.#hooks.emit('ended', { why });
  }
}

/** @typedef {{number: number, role: import('./sealing.js').Role, mode: Mode, ice: unknown, shared?: string[]}} Match */

/**
 * The chat of a MATCHED or WELCOME frame; null if it is not whole.
 * @param {Record<string, unknown>|null} value
 * @returns {Match|null}
 */
function asChat(value) {
  const number = asChatNumber(value?.chat);
  if (!value || number === undefined || !ROLES.includes(String(value.role))) return null;
  if (value.mode !== 'text' && value.mode !== 'video') return null;
  return { number, role: /** @type {import('./sealing.js').Role} */ (value.role), mode: value.mode, ice: value.ice };
}

/** @param {unknown} value */
const asChatNumber = (value) =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff ? value : undefined;

/**
 * @param {unknown} why
 * @returns {EndReason}
 */
const asEndReason = (why) => (why === 'lost' || why === 'stalled' || why === 'draining' ? why : 'left');
