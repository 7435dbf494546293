// What can go wrong, in words that say what to do. Every error that leaves the library is an AnonCamError.

/**
 * @typedef {'unsupported'|'offline'|'site'|'unreachable'|'no_way'|'full'|'draining'|'rate_limited'|'banned'|'idle'|'lost'
 *   |'protocol'|'too_large'|'internal'|'aborted'|'closed'|'text_too_long'|'busy'|'no_chat'|'no_stranger'
 *   |'no_relay'|'no_webrtc'|'bad_request'|'paused'|'unknown_work'|'denied'|'no_device'|'in_use'|'insecure'} ErrorCode
 */

/** @type {Record<ErrorCode, string>} */
const ADVICE = {
  unsupported: 'This browser has no way to connect. Use a current Chrome, Edge, Firefox or Safari.',
  offline: 'This device is offline. Connect to a network, then try again.',
  site: 'The site did not answer. Try again in a moment.',
  unreachable: 'The chat server cannot be reached. The network may block UDP (HTTP/3): try another network.',
  no_way: 'The chat server cannot be reached, neither by WebTransport nor by WebSocket. A firewall or VPN may be in the way: try another network.',
  full: 'The server is full. Try again in a moment.',
  draining: 'The server is about to restart. Try again in a moment.',
  rate_limited: 'Too many requests came from this address. Wait, then try again.',
  banned: 'This address may not chat for now.',
  idle: 'The connection was closed after a while without use. Start again.',
  lost: 'The connection was lost. Start again.',
  protocol: 'The server did not understand this client. Reload to get the current version.',
  too_large: 'A frame was larger than the server takes. Send less at once.',
  internal: 'The server failed. Try again.',
  aborted: 'Cancelled.',
  closed: 'This client is closed. Make a new one.',
  text_too_long: 'The message is too long: at most 2,000 characters. Send it in parts.',
  busy: 'Too many messages wait to be delivered. Wait until some have arrived.',
  no_chat: 'There is no chat to send to. Call find() first.',
  no_stranger: 'There is nobody to report: no chat is on, and the last one ended over a minute ago.',
  no_relay: 'Hidden needs a relay, and none works here. Try again later, or choose Direct.',
  no_webrtc: 'This browser makes no video connections: WebRTC is missing or switched off. Text works.',
  bad_request: 'A value was out of range.',
  paused: 'The operator has turned this off for a while. Try again later.',
  unknown_work: 'The server asks for a proof that this client does not know. Reload to get the current version.',
  denied: 'The browser was not allowed to use the camera or microphone. Allow it in the site settings.',
  no_device: 'No camera or microphone was found. Connect one, then try again.',
  in_use: 'The camera or microphone is used by another program. Close it, then try again.',
  insecure: 'The browser gives cameras only to secure pages. Open this page over https.',
};

/**
 * @typedef {object} ErrorDetails
 * @property {string} [message]
 * @property {number} [retryAfterMs] when trying again can succeed, in milliseconds from now, if the server said so
 * @property {string} [appeal] a code to name in an appeal against a ban, if the server gave one
 * @property {string} [reason] with a ban what most reports said: `minor`, `sexual`, `harassment`, `spam`, `other` or `operator`;
 *   with a pause what is paused: `text`, `video` or `new`
 * @property {unknown} [work] a challenge to solve before the next attempt
 * @property {unknown} [cause]
 */

/** An error with a stable `code` for programs and a `message` that says what to do. */
export class AnonCamError extends Error {
  /**
   * @param {ErrorCode} code
   * @param {ErrorDetails} [details]
   */
  constructor(code, details = {}) {
    super(details.message || ADVICE[code], { cause: details.cause });
    this.name = 'AnonCamError';
    /** What happened, for a program. @type {ErrorCode} */
    this.code = code;
    this.retryAfterMs = details.retryAfterMs;
    this.appeal = details.appeal;
    this.reason = details.reason;
    this.work = details.work;
  }
}

/** Close codes of a session (PROTOCOL.md section 6), as error codes. @type {Record<number, ErrorCode>} */
const CLOSE_CODES = {
  0: 'lost', 1: 'protocol', 2: 'too_large', 3: 'rate_limited', 4: 'banned', 5: 'draining', 6: 'idle', 7: 'internal', 8: 'full',
};

/** Longest wait a server can ask for that is believed: the longest ban, 24 hours. */
const MAX_RETRY_MS = 24 * 60 * 60 * 1000;

/**
 * The error for a session that the server closed.
 * @param {number} closeCode
 * @param {string} reason plain words, or JSON for the codes that carry a wait
 */
export function errorFromClose(closeCode, reason) {
  const code = CLOSE_CODES[closeCode] ?? 'lost';
  /** @type {ErrorDetails} */
  const details = { cause: reason || undefined };
  if ([3, 4, 5, 8].includes(closeCode)) {
    const said = parseReason(reason);
    const wait = said.retry_after_ms;
    if (typeof wait === 'number' && wait >= 0) details.retryAfterMs = Math.min(wait, MAX_RETRY_MS);
    if (typeof said.message === 'string' && said.message) details.message = said.message.slice(0, 300);
    if (closeCode === 3) details.work = said.work;
    if (closeCode === 4 && typeof said.case === 'string') details.appeal = said.case.slice(0, 40);
    if (closeCode === 4 && typeof said.reason === 'string') details.reason = said.reason.slice(0, 40);
  }
  return new AnonCamError(code, details);
}

/**
 * @param {string} reason
 * @returns {Record<string, unknown>}
 */
function parseReason(reason) {
  try {
    const value = JSON.parse(reason);
    return value !== null && typeof value === 'object' ? value : {};
  } catch {
    return {};
  }
}

/**
 * Throws the error of an aborted call.
 * @param {AbortSignal|undefined|null} signal
 */
export function throwIfAborted(signal) {
  if (signal?.aborted) throw new AnonCamError('aborted', { cause: signal.reason });
}
