// The story of a visit: start, search, chat, next, stop. Decides; the other files draw.

import { AnonCam, AnonCamError } from '../../src/index.js';
import { clearConversation, enableInput, setUpConversation, showDelivered, showMessage, showTyping } from './conversation.js';
import { closeDialog, dialogOpen, openMore, openReport } from './dialogs.js';
import { $, announce, showView } from './dom.js';
import { Hints } from './hints.js';
import { put, t } from './i18n.js';
import { forgetWishes, setUpLanding } from './landing.js';
import { showNotices } from './notices.js';
import { showBadge, showHint, showPhase, showReportable, showStatus, showTitle } from './stage.js';
import { duration, errorWords, listWords, onlineWords, retryAfterMs } from './words.js';

/** Next is ignored for so long after a match: a late tap was meant for the one before. */
const NEXT_GUARD_MS = 600;
/** Esc twice within this is Next. */
const DOUBLE_ESC_MS = 2_000;
/** Automatic next: the pause before it, and the strangers without input after which it stops. */
const AUTO_NEXT_MS = 3_000;
const AUTO_NEXT_MAX = 3;
/** After Stop the connection is kept while the last stranger can be reported. */
const KEEP_AFTER_STOP_MS = 60_000;

/** @typedef {import('../../src/index.js').FindOptions} FindOptions */

export class App {
  /** @type {AnonCam|null} */
  #cam = null;
  #makeCam;
  /** @type {FindOptions} */
  #wishes = { mode: 'text' };
  #settings = { sound: false, autoNext: false };
  /** @type {import('./video.js').Video|null} */
  #video = null;
  #matchedAt = -Infinity;
  #escapedAt = -Infinity;
  #inputSinceMatch = false;
  #withoutInput = 0;
  #timers = new Set();
  #hints = new Hints();
  #detached = false;
  /** Whether an ending was already shown in other words than `ended` has. */
  #told = false;

  /** @param {() => AnonCam} [makeCam] */
  constructor(makeCam = () => new AnonCam()) {
    this.#makeCam = makeCam;
  }

  /** Wires everything up; connects to nothing. */
  start() {
    setUpLanding((mode, wishes) => void this.#begin({ mode, ...wishes }));
    setUpConversation({
      send: (text) => {
        this.#inputSinceMatch = true;
        return /** @type {AnonCam} */ (this.#cam).sendText(text);
      },
      typing: (on) => this.#cam?.typing(on),
    });
    $('next').addEventListener('click', () => this.next());
    $('stop').addEventListener('click', () => this.stop());
    $('block').addEventListener('click', () => this.#block());
    $('report').addEventListener('click', () => openReport((reason) => this.#report(reason)));
    $('safety').addEventListener('click', () => void import('./safety.js').then(({ openSafety }) => openSafety(this.#cam?.safetyCode ?? null)).catch(() => {}));
    $('more').addEventListener('click', () => openMore(this.#settings, this.#cam?.over ?? null));
    document.addEventListener('keydown', (event) => this.#key(event));
    addEventListener('popstate', () => document.body.dataset.view !== 'landing' && this.leave());
    addEventListener('pagehide', () => this.#forget());
    addEventListener('pageshow', (event) => event.persisted && location.reload());
    addEventListener('online', () => document.body.dataset.problem === 'offline' && void this.search());
    document.addEventListener('visibilitychange', () => document.hidden || showTitle(false));
  }

  /** @param {FindOptions} wishes */
  async #begin(wishes) {
    this.#wishes = wishes;
    history.pushState(null, '');
    if (wishes.mode === 'text') return this.search();
    if (!globalThis.RTCPeerConnection) return this.#failed(new AnonCamError('no_webrtc'));
    try {
      const { Video } = await import('./video.js');
      this.#video ??= new Video({ changed: (stream, state) => this.#cam?.useMedia(stream, state) });
      this.#video.setUp((hidden) => this.#startVideo(hidden), () => history.back());
    } catch {
      this.#failed(new AnonCamError('site'));
    }
  }

  /** @param {boolean} hidden */
  #startVideo(hidden) {
    this.#connectOnce().setHidden(hidden);
    void this.search();
  }

  /** Looks for a stranger; the conversation before is gone from here on. */
  search() {
    this.#clearTimers();
    closeDialog();
    clearConversation();
    this.#detached = false;
    const cam = this.#connectOnce();
    this.#video?.enterSearch();
    if (this.#wishes.mode === 'video' && this.#video) cam.useMedia(this.#video.stream, this.#video.state);
    document.body.dataset.problem = '';
    showTitle(false);
    cam.find(this.#wishes).catch(() => {}); // The `error` event tells.
    showPhase('searching', this.#wishes.mode);
    showReportable(cam.canReport);
    showStatus(() => t('searching'), () => t(this.#wishes.strict ? 'search_strict' : 'connecting'));
    const { interests = [] } = this.#wishes;
    put($('wishes-shown'), () => (interests.length > 0 ? t('your_interests', { list: listWords(interests) }) : ''));
    $('stop').focus();
  }

  /** The next stranger. */
  next() {
    if (performance.now() - this.#matchedAt < NEXT_GUARD_MS && document.body.dataset.phase === 'chat') return;
    this.#withoutInput = 0;
    this.search();
  }

  /** Ends what is on; the camera's light goes out. */
  stop() {
    this.#cam?.leave();
    this.#stopped();
  }

  /** Back to the first view; nothing of the visit stays. */
  leave() {
    this.#forget();
    forgetWishes();
    document.body.dataset.phase = '';
    showView('landing');
    $('main').focus();
  }

  #forget() {
    this.#clearTimers();
    closeDialog();
    clearConversation();
    this.#video?.stop();
    this.#cam?.close();
    this.#cam = null;
    this.#wishes = { mode: 'text' };
    showTitle(false);
  }

  #stopped() {
    this.#clearTimers();
    clearConversation();
    this.#video?.stop();
    showTitle(false);
    showPhase('stopped', this.#wishes.mode);
    showReportable(this.#cam?.canReport ?? false);
    showStatus(() => t('stopped'), () => t('stopped_text'), [
      { label: 'start_again', run: () => this.#again() },
      { label: 'change', run: () => history.back() },
    ]);
    this.#later(KEEP_AFTER_STOP_MS, () => {
      this.#cam?.close();
      this.#cam = null;
      showReportable(false);
    });
  }

  #again() {
    if (this.#wishes.mode === 'text' || !this.#video) return this.search();
    this.#video.resume().then(() => this.search(), () => void this.#begin(this.#wishes));
  }

  #connectOnce() {
    if (this.#cam) return this.#cam;
    const cam = this.#makeCam();
    this.#cam = cam;
    cam.on('site', showNotices);
    cam.on('waiting', ({ online, estimateMs }) => showHint(() => [
      onlineWords(online),
      ...(estimateMs === null ? [] : [t('estimate', { time: duration(estimateMs) })]),
      ...(cam.over === 'websocket' ? [t('via_websocket')] : []),
      ...(this.#wishes.strict ? [t('search_strict')] : []),
    ].join(' · ')));
    cam.on('matched', ({ shared }) => this.#matched(shared));
    cam.on('message', ({ text }) => showMessage(text));
    cam.on('delivered', ({ id }) => showDelivered(id));
    cam.on('typing', ({ on }) => showTyping(on));
    cam.on('stranger', ({ state }) => this.#stranger(state));
    cam.on('connection', ({ state }) => this.#connection(state));
    cam.on('detached', () => this.#textOff());
    cam.on('warning', ({ fault }) => this.#warned(fault));
    cam.on('ended', ({ why }) => this.#ended(why));
    cam.on('error', ({ error }) => this.#failed(error));
    cam.on('notice', ({ error }) => announce(error.message));
    cam.on('stream', ({ stream }) => this.#video?.showStranger(stream));
    cam.on('media', (state) => this.#video?.showTheirs(state));
    cam.on('video', ({ state }) => this.#videoState(state));
    cam.on('path', ({ relayed, hidden }) => showBadge('path', () => t(hidden ? 'badge_hidden' : relayed ? 'badge_relayed' : 'badge_direct')));
    cam.on('quality', ({ quality }) => showBadge('quality', () => t(`quality_${quality}`), quality));
    return cam;
  }

  /** @param {string[]} shared */
  #matched(shared) {
    this.#matchedAt = performance.now();
    this.#inputSinceMatch = false;
    this.#told = false;
    showPhase('chat', this.#wishes.mode);
    showReportable(true);
    enableInput(true);
    const inCommon = shared.length > 0 ? () => t('shared', { list: listWords(shared) }) : null;
    const connecting = () => [...(inCommon ? [inCommon()] : []), t('video_connecting')].join(' · ');
    showStatus(() => t('matched'), this.#wishes.mode === 'video' ? connecting : (inCommon ?? (() => t('say_hello'))));
    this.#hints.begin(inCommon);
    this.#video?.enterChat();
    showTitle(true);
    if (this.#settings.sound) void import('./sound.js').then(({ chime }) => chime()).catch(() => {});
    // In video Enter does nothing until the picture is there and can be shown.
    $(this.#wishes.mode === 'text' ? 'text' : 'status-title').focus({ preventScroll: true });
  }

  /** @param {'away'|'back'} state */
  #stranger(state) {
    this.#hints.trouble('stranger', state === 'away' ? () => t('stranger_away') : null);
    if (state === 'back') this.#hints.mention(() => t('stranger_back'));
  }

  /** @param {import('../../src/index.js').AnonCamEvents['connection']['state']} state */
  #connection(state) {
    if (document.body.dataset.phase === 'searching' && state !== 'down') showHint(() => t(state === 'proving' ? 'proving' : 'connecting'));
    else if (document.body.dataset.phase !== 'chat' || this.#detached) return;
    else if (state === 'reconnecting') this.#hints.trouble('connection', () => t('reconnecting'));
    else if (state === 'up') {
      this.#hints.trouble('connection', null);
      this.#hints.mention(() => t('reconnected'));
    }
  }

  /** @param {'connected'|'interrupted'|'failed'} state */
  #videoState(state) {
    this.#video?.showConnection(state);
    if (state === 'connected') this.#hints.trouble('video', null);
    else if (state === 'interrupted') this.#hints.trouble('video', () => t('video_interrupted'));
    else this.#hints.trouble('video', () => t(this.#video?.hidden ? 'video_failed_hidden' : 'video_failed'));
  }

  #textOff() {
    this.#detached = true;
    enableInput(false, t('text_off_short'));
    this.#hints.trouble('text', () => t('text_off'));
    showReportable(false);
  }

  /** @param {string} fault */
  #warned(fault) {
    this.#told = true;
    this.#over(() => t('warning_title'), () => t('warning_text', { fault }));
  }

  /** @param {import('../../src/index.js').EndReason} why */
  #ended(why) {
    if (why === 'self' || why === 'warning' || this.#told) return;
    const auto = this.#settings.autoNext && !document.hidden;
    this.#withoutInput = this.#inputSinceMatch ? 0 : this.#withoutInput + 1;
    const stopped = auto && this.#withoutInput >= AUTO_NEXT_MAX;
    const oneKey = () => (matchMedia('(pointer: coarse)').matches ? '' : t('over_text'));
    this.#over(() => t(`over_${why}`), auto ? () => t(stopped ? 'autonext_off' : 'autonext_in') : oneKey);
    if (auto && !stopped) this.#later(AUTO_NEXT_MS, () => !document.hidden && !dialogOpen() && this.search());
  }

  /**
   * @param {import('./stage.js').Words} title
   * @param {import('./stage.js').Words} text
   */
  #over(title, text) {
    this.#hints.end();
    this.#video?.leaveChat();
    showTyping(false);
    enableInput(false);
    closeDialog();
    showPhase('over', this.#wishes.mode);
    showReportable(this.#cam?.canReport ?? false);
    showStatus(title, text, [{ label: 'next', run: () => this.next() }]);
  }

  #block() {
    this.#cam?.block();
    clearConversation();
    this.#over(() => t('blocked'), () => t('blocked_text'));
  }

  /** @param {import('../../src/index.js').ReportReason} reason */
  #report(reason) {
    const inChat = document.body.dataset.phase === 'chat' || document.body.dataset.phase === 'over';
    try {
      const code = this.#cam?.report(reason) ?? '';
      const words = () => t('reported_text', { code });
      if (inChat) {
        clearConversation();
        this.#over(() => t('reported'), words);
      } else showHint(() => `${t('reported')} ${words()}`);
    } catch {
      showHint(() => t('error_internal_text'));
    }
    showReportable(false);
  }

  /** @param {import('../../src/index.js').AnonCamError} error */
  #failed(error) {
    if (this.#detached || error.code === 'aborted' || error.code === 'closed') return;
    const { code } = error;
    const at = Date.now();
    this.#clearTimers();
    showPhase('problem', this.#wishes.mode);
    showReportable(this.#cam?.canReport ?? false);
    document.body.dataset.problem = code;
    const again = code === 'protocol' || code === 'unknown_work'
      ? { label: 'reload', run: () => location.reload() }
      : { label: 'try_again', run: () => this.search() };
    const back = { label: 'back', run: () => history.back() };
    const inVain = code === 'unsupported' || code === 'no_webrtc' || (code === 'banned' && error.retryAfterMs !== 0);
    showStatus(() => errorWords(error, at).title, () => errorWords(error, at).text, inVain ? [{ ...back, kind: 'primary' }] : [again, back]);
    const wait = retryAfterMs(error);
    if (wait !== null) this.#later(wait, () => this.search());
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key !== 'Escape' || event.isComposing || dialogOpen() || !['chat', 'over'].includes(document.body.dataset.phase ?? '')) return;
    if (document.body.dataset.view !== 'stage' || event.repeat) return;
    event.preventDefault();
    if (performance.now() - this.#matchedAt < NEXT_GUARD_MS) return;
    if (performance.now() - this.#escapedAt < DOUBLE_ESC_MS) {
      this.#escapedAt = -Infinity;
      return this.next();
    }
    this.#escapedAt = performance.now();
    announce(t('esc_again'));
    this.#hints.mention(() => t('esc_again'));
  }

  /**
   * @param {number} ms
   * @param {() => unknown} action unless something else happens first
   */
  #later(ms, action) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, ms);
    this.#timers.add(timer);
  }

  #clearTimers() {
    this.#hints.end();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}
