// A session over WebSocket, for networks without UDP and browsers without WebTransport (PROTOCOL.md section 9).

import { AnonCamError, throwIfAborted } from './errors.js';
import { OPEN_TIMEOUT_MS } from './webtransport.js';
import { quietly, within } from './within.js';

/** Close codes of a session stand above this one. */
const CODE_BASE = 4000;
/** Largest code that a session can be closed with: what WebSocket leaves to applications ends at 4999 (RFC 6455, section 7.4.2). */
const CODE_LARGEST = 999;
/** Longest reason, in bytes of UTF-8. */
const REASON_BYTES = 123;
/** A write waits while more than this is on its way: WebSocket itself knows no back-pressure. */
const BUFFERED_BYTES = 64 * 1024;
/** How often a waiting write looks again. WebSocket has no event for it. */
const LOOK_AGAIN_MS = 20;

/**
 * @param {import('./site.js').Endpoint} endpoint
 * @param {typeof WebSocket} Native
 * @param {AbortSignal} [signal]
 * @returns {Promise<import('./webtransport.js').Channel>}
 */
export async function openWebSocket(endpoint, Native, signal) {
  throwIfAborted(signal);
  const socket = new Native(endpoint.url);
  socket.binaryType = 'arraybuffer';
  const readable = incoming(socket);
  /** @type {Promise<{code: number|null, reason: string}>} */
  const closed = new Promise((resolve) => socket.addEventListener('close', ({ code, reason }) => {
    const known = code >= CODE_BASE && code <= CODE_BASE + CODE_LARGEST;
    resolve(known ? { code: code - CODE_BASE, reason } : { code: null, reason: '' });
  }));
  /** @type {Promise<void>} */
  const opened = new Promise((resolve, reject) => {
    socket.addEventListener('open', () => resolve());
    void closed.then(() => reject(new AnonCamError('unreachable')));
  });
  try {
    await within(opened, OPEN_TIMEOUT_MS, signal);
  } catch (error) {
    quietly(() => socket.close());
    throw error;
  }
  return {
    over: 'websocket',
    reader: readable.getReader(),
    writer: outgoing(socket).getWriter(),
    closed,
    close: (code, reason) => quietly(() => socket.close(CODE_BASE + code, cut(reason))),
  };
}

/** @param {WebSocket} socket */
function incoming(socket) {
  return new ReadableStream({
    start(controller) {
      socket.addEventListener('message', ({ data }) => {
        if (data instanceof ArrayBuffer) controller.enqueue(new Uint8Array(data));
        else socket.close(CODE_BASE + 1, 'text is no part of the protocol');
      });
      socket.addEventListener('close', () => quietly(() => controller.close()));
    },
  });
}

/** @param {WebSocket} socket */
function outgoing(socket) {
  return new WritableStream({
    async write(/** @type {Uint8Array<ArrayBuffer>} */ bytes) {
      socket.send(bytes);
      while (socket.bufferedAmount > BUFFERED_BYTES && socket.readyState === socket.OPEN) {
        await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
      }
    },
  });
}

/** A reason as long as a close frame takes, cut between characters. @param {string} reason */
function cut(reason) {
  const bytes = new TextEncoder().encode(reason).subarray(0, REASON_BYTES);
  return new TextDecoder().decode(bytes, { stream: true });
}
