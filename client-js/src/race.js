// WebTransport against WebSocket: the first that opens carries the session ("happy eyeballs", as in RFC 8305).
// Comes in: what the site offers and the browser has. Goes out: one open channel; the other attempt is closed.

import { AnonCamError, throwIfAborted } from './errors.js';
import { openWebTransport } from './webtransport.js';

/**
 * What WebTransport is ahead by. Both need about three round trips, so it wins wherever it is let through at all, over any
 * distance; who is without UDP waits this much longer.
 */
const HEAD_START_MS = 500;

/** @typedef {import('./webtransport.js').Channel} Channel */
/** @typedef {{WebTransport?: typeof WebTransport, WebSocket?: typeof WebSocket}} Natives what the browser has */

/**
 * @param {import('./site.js').Site} site
 * @param {Natives} natives
 * @param {AbortSignal} [signal]
 * @returns {Promise<Channel>}
 */
export async function openChannel({ webtransport, websocket }, natives, signal) {
  const { WebTransport: Transport, WebSocket: Socket } = natives;
  throwIfAborted(signal);
  const giveUp = new AbortController();
  const abort = () => giveUp.abort(signal?.reason);
  signal?.addEventListener('abort', abort);
  const first = webtransport && Transport ? () => openWebTransport(webtransport, Transport, giveUp.signal) : null;
  const second = websocket && Socket
    // Most people never need it, so most never load it.
    ? () => import('./websocket.js').then(({ openWebSocket }) => openWebSocket(websocket, Socket, giveUp.signal))
    : null;
  try {
    if (first && second) return await firstOf(first, second);
    if (first) return await first();
    if (second) return await second();
  } catch (cause) {
    throwIfAborted(signal);
    // Where WebSocket was tried in vain, more is in the way than a network without UDP.
    throw new AnonCamError(second ? 'no_way' : 'unreachable', { cause });
  } finally {
    signal?.removeEventListener('abort', abort);
    giveUp.abort();
  }
  throw new AnonCamError('unsupported');
}

/**
 * Tries the preferred way, and the other after the head start, or as soon as the first has failed.
 * @param {() => Promise<Channel>} preferred
 * @param {() => Promise<Channel>} other
 */
async function firstOf(preferred, other) {
  const first = preferred();
  const second = settled(first, HEAD_START_MS).then((opened) => (opened ? first : other()));
  const winner = await Promise.any([first, second]);
  // One that opens in the same moment, too late to be given up, is closed.
  for (const attempt of [first, second]) attempt.then((channel) => channel === winner || channel.close(0, ''), () => {});
  return winner;
}

/**
 * Resolves when the attempt has opened (true), has failed, or its head start is over.
 * @param {Promise<unknown>} attempt
 * @param {number} ms
 * @returns {Promise<boolean>}
 */
function settled(attempt, ms) {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), ms);
    attempt.then(() => resolve(true), () => resolve(false)).finally(() => clearTimeout(timer));
  });
}
