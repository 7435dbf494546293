// client-config.json: where the server is, and what its operator says (PROTOCOL.md section 1).
// Comes in: JSON of the site. Goes out: a Site, checked.

import { AnonCamError, throwIfAborted } from './errors.js';
import { within } from './within.js';

/** Longest wait for client-config.json. */
const ANSWER_TIMEOUT_MS = 10_000;
/** Longest message of an operator, in UTF-16 units: 280 characters, each at most two of them. */
const MAX_MESSAGE_UNITS = 560;

/**
 * @typedef {object} Endpoint where the server is
 * @property {string} url
 * @property {string[]} [serverCertificateHashes] of a self-made certificate
 */

/**
 * What client-config.json says.
 * @typedef {object} Site
 * @property {number} online how many people are there, rounded
 * @property {'open'|'full'|'draining'} state
 * @property {string[]} paused what the operator has turned off: `text`, `video`, `new`
 * @property {string} message one line of the operator to everybody, to be shown as text; empty: none
 * @property {string} policyChanged the day on which the privacy policy changed, as YYYY-MM-DD, for 30 days; empty: not lately
 * @property {string} policyNotice what became weaker then, in English, to be shown as text; empty: nothing
 * @property {Endpoint|null} webtransport
 * @property {Endpoint|null} websocket
 */

/**
 * Asks the site. Every attempt to connect does, since certificates and addresses change.
 * @param {string} site address of the site
 * @param {{fetch?: typeof fetch, signal?: AbortSignal}} [options]
 * @returns {Promise<Site>}
 */
export async function readSite(site, { fetch: get = (input, init) => globalThis.fetch(input, init), signal } = {}) {
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
  const webtransport = asEndpoint(config.webtransport);
  const websocket = asEndpoint(config.websocket);
  if (config.protocol !== 1 || !(webtransport || websocket)) throw new AnonCamError('site', { cause: 'client-config.json' });
  return {
    online: count(config.online),
    state: config.state === 'full' || config.state === 'draining' ? config.state : 'open',
    paused: asStrings(config.paused),
    message: typeof config.message === 'string' ? config.message.slice(0, MAX_MESSAGE_UNITS) : '',
    policyChanged: typeof config.policy_changed === 'string' && /^\d{4}-\d\d-\d\d$/.test(config.policy_changed) ? config.policy_changed : '',
    policyNotice: typeof config.policy_notice === 'string' ? config.policy_notice.slice(0, MAX_MESSAGE_UNITS) : '',
    webtransport,
    websocket,
  };
}

/**
 * @param {unknown} value
 * @returns {Endpoint|null}
 */
function asEndpoint(value) {
  const { url, serverCertificateHashes: hashes } = asObject(value) ?? {};
  if (typeof url !== 'string') return null;
  return { url, serverCertificateHashes: Array.isArray(hashes) ? asStrings(hashes).slice(0, 4) : undefined };
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

/**
 * The strings of a list, at most ten: as many as a frame names interests.
 * @param {unknown} value
 * @returns {string[]}
 */
export const asStrings = (value) => (Array.isArray(value) ? value.filter((item) => typeof item === 'string').slice(0, 10) : []);
