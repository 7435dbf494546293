// Video from browser to browser: one RTCPeerConnection by perfect negotiation (W3C WebRTC, section 10.7). Loaded only in video.
// Comes in: descriptions and candidates of the stranger, own tracks. Goes out: own ones, the stranger's stream, quality and path.
//
// Hidden: only relay candidates leave this page, in candidates and descriptions alike, and it never falls back to direct.

import { asObject } from './site.js';

/** How often quality is measured. */
const STATS_EVERY_MS = 2_000;
/** How often a failed connection is tried again before it is given up. */
const MAX_RESTARTS = 2;
/** An interrupted connection looks for another way after this time: a browser alone takes five times as long to give up the old one. */
const INTERRUPTED_MS = 2_000;
/** Hidden: a relay that has not answered by then does not work. Browsers themselves ask for up to a minute. */
const RELAY_TIMEOUT_MS = 12_000;
/** Most candidates taken from a stranger for one description: more would make this browser probe for them. */
const MAX_CANDIDATES = 64;

/** @typedef {'good'|'fair'|'poor'} Quality */

/**
 * @typedef {object} PeerOptions
 * @property {boolean} polite
 * @property {boolean} hidden
 * @property {unknown} ice
 * @property {MediaStream} stream own tracks
 * @property {(value: object) => void} signal
 * @property {(name: 'stream'|'path'|'quality'|'connected'|'interrupted'|'failed'|'no_relay', detail: object) => void} emit
 * @property {typeof RTCPeerConnection} RTCPeerConnection
 */

export class Peer {
  #options;
  #connection;
  #remote = new MediaStream();
  #makingOffer = false;
  #ignoreOffer = false;
  #settingAnswer = false;
  #candidatesTaken = 0;
  #restarts = 0;
  #relayFound = false;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #relayTimer;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #interruptedTimer;
  /** @type {Promise<void>} */
  #chain = Promise.resolve();
  #timer = /** @type {ReturnType<typeof setInterval>|undefined} */ (undefined);
  #lost = 0;
  #received = 0;
  #path = '';

  /** @param {PeerOptions} options */
  constructor(options) {
    this.#options = options;
    this.#connection = new options.RTCPeerConnection(this.#configuration(options.ice));
    this.#listen();
    if (options.hidden) this.#awaitRelay();
    if (!options.polite && !(options.hidden && !hasRelay(options.ice))) this.#offerTracks();
  }

  /** Whether media flows, or has just stopped. */
  connected() {
    return ['connected', 'disconnected'].includes(this.#connection.connectionState);
  }

  /**
   * A description or candidate of the stranger.
   * @param {Record<string, unknown>} value
   */
  receive(value) {
    this.#chain = this.#chain.then(() => this.#take(value)).catch(() => {
      // What a stranger's browser says may not fit this one's state; negotiation goes on with the next description.
    });
    return this.#chain;
  }

  /** @param {unknown} ice */
  setIce(ice) {
    this.#connection.setConfiguration(this.#configuration(ice));
  }

  /** New ICE after a resume; an offer that was lost on the way is taken back first. */
  restart() {
    this.#chain = this.#chain.then(async () => {
      if (this.#connection.signalingState === 'have-local-offer') await this.#connection.setLocalDescription({ type: 'rollback' });
      this.#connection.restartIce();
    }).catch(() => {});
  }

  /**
   * Own tracks changed: send these from now on.
   * @param {MediaStream} stream
   */
  async useTracks(stream) {
    for (const transceiver of this.#connection.getTransceivers()) {
      const kind = transceiver.receiver.track.kind;
      const track = stream.getTracks().find((one) => one.kind === kind) ?? null;
      if (transceiver.sender.track !== track) await transceiver.sender.replaceTrack(track);
    }
  }

  close() {
    clearInterval(this.#timer);
    clearTimeout(this.#relayTimer);
    clearTimeout(this.#interruptedTimer);
    this.#connection.close();
  }

  /**
   * @param {unknown} ice
   * @returns {RTCConfiguration}
   */
  #configuration(ice) {
    return { iceServers: asIceServers(ice), iceTransportPolicy: this.#options.hidden ? 'relay' : 'all', bundlePolicy: 'max-bundle' };
  }

  /** Hidden never falls back to direct: without a relay there is no video, and the page is told. */
  #awaitRelay() {
    const wait = hasRelay(this.#options.ice) ? RELAY_TIMEOUT_MS : 0;
    this.#relayTimer = setTimeout(() => this.#relayFound || this.#options.emit('no_relay', {}), wait);
  }

  #offerTracks() {
    for (const kind of ['audio', 'video']) {
      const track = this.#options.stream.getTracks().find((one) => one.kind === kind);
      this.#connection.addTransceiver(track ?? kind, { direction: 'sendrecv', streams: [this.#options.stream] });
    }
  }

  #listen() {
    const connection = this.#connection;
    connection.onnegotiationneeded = () => void this.#offer();
    connection.onicecandidate = ({ candidate }) => this.#candidate(candidate);
    connection.onicegatheringstatechange = () => {
      if (connection.iceGatheringState === 'complete' && this.#options.hidden && !this.#relayFound) this.#options.emit('no_relay', {});
    };
    connection.ontrack = ({ track }) => {
      this.#remote.addTrack(track);
      this.#options.emit('stream', { stream: this.#remote });
    };
    connection.onconnectionstatechange = () => this.#connectionState();
  }

  async #offer() {
    try {
      this.#makingOffer = true;
      await this.#connection.setLocalDescription();
      this.#describe();
    } catch {
      // Closed meanwhile, or the stranger's offer came first: perfect negotiation goes on with theirs.
    } finally {
      this.#makingOffer = false;
    }
  }

  #describe() {
    const description = this.#connection.localDescription;
    if (!description) return;
    const sdp = this.#options.hidden ? hideAddresses(description.sdp) : description.sdp;
    this.#options.signal({ kind: 'description', description: { type: description.type, sdp } });
  }

  /** @param {RTCIceCandidate|null} candidate */
  #candidate(candidate) {
    if (!candidate?.candidate) return this.#options.signal({ kind: 'candidate', candidate: null });
    const relay = isRelay(candidate.candidate);
    this.#relayFound ||= relay;
    if (this.#options.hidden && !relay) return;
    const { sdpMid, sdpMLineIndex, usernameFragment } = candidate;
    const line = this.#options.hidden ? hideRelated(candidate.candidate) : candidate.candidate;
    this.#options.signal({ kind: 'candidate', candidate: { candidate: line, sdpMid, sdpMLineIndex, usernameFragment } });
  }

  /** @param {Record<string, unknown>} value */
  async #take(value) {
    if (value.kind === 'description') await this.#takeDescription(asObject(value.description) ?? {});
    else if (this.#candidatesTaken < MAX_CANDIDATES) await this.#takeCandidate(value.candidate);
  }

  /** @param {Record<string, unknown>} description */
  async #takeDescription({ type, sdp }) {
    if ((type !== 'offer' && type !== 'answer') || typeof sdp !== 'string') return;
    const connection = this.#connection;
    const free = !this.#makingOffer && (connection.signalingState === 'stable' || this.#settingAnswer);
    this.#ignoreOffer = !this.#options.polite && type === 'offer' && !free;
    if (this.#ignoreOffer) return;
    this.#candidatesTaken = 0;
    this.#settingAnswer = type === 'answer';
    try {
      await connection.setRemoteDescription({ type, sdp });
      // Another way is being looked for.
      clearTimeout(this.#interruptedTimer);
    } finally {
      this.#settingAnswer = false;
    }
    if (type === 'answer') return;
    await this.#answerTracks();
    await connection.setLocalDescription();
    this.#describe();
  }

  /** Own tracks go into the stranger's media sections, so that one round trip is enough. */
  async #answerTracks() {
    const { stream } = this.#options;
    for (const transceiver of this.#connection.getTransceivers()) {
      if (transceiver.direction === 'stopped') continue;
      const track = stream.getTracks().find((one) => one.kind === transceiver.receiver.track.kind) ?? null;
      transceiver.direction = 'sendrecv';
      transceiver.sender.setStreams?.(stream);
      if (transceiver.sender.track !== track) await transceiver.sender.replaceTrack(track);
    }
  }

  /** @param {unknown} candidate */
  async #takeCandidate(candidate) {
    this.#candidatesTaken += 1;
    try {
      await this.#connection.addIceCandidate(/** @type {RTCIceCandidateInit} */ (asObject(candidate) ?? undefined));
    } catch (error) {
      if (!this.#ignoreOffer) throw error;
    }
  }

  #connectionState() {
    const state = this.#connection.connectionState;
    clearTimeout(this.#interruptedTimer);
    if (state === 'connected') {
      this.#restarts = 0;
      clearInterval(this.#timer);
      this.#timer = setInterval(() => void this.#measure(), STATS_EVERY_MS);
      void this.#measure();
      this.#options.emit('connected', {});
    } else if (state === 'disconnected') {
      this.#interruptedTimer = setTimeout(() => this.#connection.restartIce(), INTERRUPTED_MS);
      this.#options.emit('interrupted', {});
    } else if (state === 'failed') this.#failed();
  }

  #failed() {
    if (this.#restarts < MAX_RESTARTS) {
      this.#restarts += 1;
      this.#connection.restartIce();
      this.#options.emit('interrupted', {});
    } else this.#options.emit('failed', { hidden: this.#options.hidden });
  }

  async #measure() {
    const stats = await this.#connection.getStats().catch(() => null);
    if (!stats || this.#connection.connectionState === 'closed') return;
    /** @type {any[]} */
    const all = [...stats.values()];
    const named = all.find((one) => one.type === 'transport' && one.selectedCandidatePairId)?.selectedCandidatePairId;
    const pair = named ? stats.get(named) : all.find((one) => one.type === 'candidate-pair' && one.state === 'succeeded' && (one.selected || one.nominated));
    if (!pair) return;
    const relayed = [pair.localCandidateId, pair.remoteCandidateId].map((id) => stats.get(id)?.candidateType === 'relay');
    this.#tellPath(relayed[0] ? 'own_relay' : relayed[1] ? 'their_relay' : 'direct');
    this.#tellQuality(pair.currentRoundTripTime ?? 0, all.filter((one) => one.type === 'inbound-rtp'));
  }

  /** @param {'own_relay'|'their_relay'|'direct'} path */
  #tellPath(path) {
    if (path === this.#path) return;
    this.#path = path;
    this.#options.emit('path', { relayed: path !== 'direct', hidden: this.#options.hidden && path === 'own_relay' });
  }

  /**
   * @param {number} roundTripSeconds
   * @param {{packetsLost?: number, packetsReceived?: number}[]} inbound
   */
  #tellQuality(roundTripSeconds, inbound) {
    const lost = inbound.reduce((sum, one) => sum + (one.packetsLost ?? 0), 0);
    const received = inbound.reduce((sum, one) => sum + (one.packetsReceived ?? 0), 0);
    const fresh = received - this.#received + lost - this.#lost;
    const loss = fresh > 0 ? (lost - this.#lost) / fresh : 0;
    this.#lost = lost;
    this.#received = received;
    /** @type {Quality} */
    const quality = loss > 0.08 || roundTripSeconds > 0.6 ? 'poor' : loss > 0.03 || roundTripSeconds > 0.3 ? 'fair' : 'good';
    this.#options.emit('quality', { quality, roundTripMs: Math.round(roundTripSeconds * 1000), lossRatio: Math.max(0, loss) });
  }
}

/**
 * The iceServers of a MATCHED frame, checked: a hostile value must not throw in the browser's constructor.
 * @param {unknown} ice
 * @returns {RTCIceServer[]}
 */
function asIceServers(ice) {
  if (!Array.isArray(ice)) return [];
  return ice.slice(0, 8).map(asObject).filter((one) => one !== null).map(({ urls, username, credential }) => ({
    urls: (Array.isArray(urls) ? urls : [urls]).filter((url) => typeof url === 'string' && /^(stun|turn)s?:/.test(url)).slice(0, 8),
    ...(typeof username === 'string' && typeof credential === 'string' ? { username, credential } : {}),
  })).filter(({ urls }) => urls.length > 0);
}

/**
 * Whether a relay is among the iceServers.
 * @param {unknown} ice
 */
export const hasRelay = (ice) => asIceServers(ice).some(({ urls }) => [urls].flat().some((url) => /^turns?:/.test(url)));

/** @param {string} line */
const isRelay = (line) => / typ relay( |$)/.test(line);

/** The related address of a relay candidate is this browser's own as the relay sees it. @param {string} line */
const hideRelated = (line) => line.replace(/ raddr \S+ rport \d+/, ' raddr 0.0.0.0 rport 0');

/**
 * A description without any address but the relay's.
 * @param {string} sdp
 */
export function hideAddresses(sdp) {
  return sdp
    .split('\r\n')
    .filter((line) => !line.startsWith('a=candidate:') || isRelay(line))
    .map((line) => (line.startsWith('a=candidate:') ? hideRelated(line) : line.replace(/^(c=IN IP[46]) (?!0\.0\.0\.0).*/, (_, start) => hiddenConnection(start))))
    .map((line) => line.replace(/^a=rtcp:(\d+) IN IP[46] .*/, 'a=rtcp:9 IN IP4 0.0.0.0'))
    .join('\r\n');
}

/** @param {string} start */
const hiddenConnection = (start) => (start.endsWith('6') ? 'c=IN IP6 ::' : 'c=IN IP4 0.0.0.0');
