// A session over WebTransport, and its channel: a single bidirectional stream (PROTOCOL.md section 1).

import { fromBase64 } from './bytes.js';
import { AnonCamError, throwIfAborted } from './errors.js';
import { quietly, within } from './within.js';

/** Longest wait for a session to open. A network that blocks UDP lets the attempt hang, so this is how it shows. */
export const OPEN_TIMEOUT_MS = 10_000;

/**
 * One way to the server with its channel of bytes, over WebTransport or WebSocket.
 * @typedef {object} Channel
 * @property {'webtransport'|'websocket'} over
 * @property {ReadableStreamDefaultReader<Uint8Array>} reader
 * @property {WritableStreamDefaultWriter<Uint8Array>} writer a write resolves when the next one may come
 * @property {Promise<{code: number|null, reason: string}>} closed never rejects; code null: lost without one
 * @property {(code: number, reason: string) => void} close
 */

/**
 * @param {import('./site.js').Endpoint} endpoint
 * @param {typeof WebTransport} Native
 * @param {AbortSignal} [signal]
 * @returns {Promise<Channel>}
 */
export async function openWebTransport(endpoint, Native, signal) {
  throwIfAborted(signal);
  const session = new Native(endpoint.url, {
    congestionControl: 'low-latency',
    serverCertificateHashes: endpoint.serverCertificateHashes?.map((hash) => ({ algorithm: 'sha-256', value: fromBase64(hash) })),
  });
  // A session that is given up must not show up as an unhandled rejection.
  session.ready.catch(() => {});
  const closed = session.closed.then(
    (info) => ({ code: info?.closeCode ?? 0, reason: info?.reason ?? '' }),
    () => ({ code: null, reason: '' }),
  );
  try {
    await within(session.ready, OPEN_TIMEOUT_MS, signal);
    const stream = await within(session.createBidirectionalStream(), OPEN_TIMEOUT_MS, signal);
    return {
      over: 'webtransport',
      reader: stream.readable.getReader(),
      writer: stream.writable.getWriter(),
      closed,
      close: (closeCode, reason) => quietly(() => session.close({ closeCode, reason })),
    };
  } catch (cause) {
    quietly(() => session.close());
    if (cause instanceof AnonCamError) throw cause;
    throw new AnonCamError('unreachable', { cause });
  }
}
