// Proof of work for a server that is flooded (PROTOCOL.md section 6). Loaded only when one is asked for.
// Comes in: a challenge. Goes out: its proof, from a Web Worker where there are any, else from this thread, a moment at a time.

import { AnonCamError, throwIfAborted } from './errors.js';
import { readChallenge, Search } from './work-search.js';

/** Without a worker: how long the search holds up everything else, and how many tries fit between two looks at the clock. */
const SLICE_MS = 8;
const SLICE_TRIES = 200;

/**
 * @param {unknown} challenge
 * @param {AbortSignal} [signal] ends the search
 * @param {() => Worker} [makeWorker] for tests
 * @returns {Promise<string>}
 */
export async function prove(challenge, signal, makeWorker = startWorker) {
  if (!readChallenge(challenge)) throw new AnonCamError('unknown_work');
  const known = /** @type {string} */ (challenge);
  throwIfAborted(signal);
  return (await inWorker(known, signal, makeWorker)) ?? inSlices(known, signal);
}

/**
 * Null where no worker runs: an old browser, or a page whose policy or origin forbids it.
 * @param {string} challenge
 * @param {AbortSignal|undefined} signal
 * @param {() => Worker} makeWorker
 * @returns {Promise<string|null>}
 */
async function inWorker(challenge, signal, makeWorker) {
  /** @type {Worker} */
  let worker;
  try {
    worker = makeWorker();
  } catch {
    return null;
  }
  /** @type {() => void} */
  let abort = () => {};
  try {
    return await new Promise((resolve, reject) => {
      abort = () => reject(new AnonCamError('aborted', { cause: signal?.reason }));
      signal?.addEventListener('abort', abort);
      worker.addEventListener('message', ({ data }) => resolve(typeof data === 'string' ? data : null));
      worker.addEventListener('error', () => resolve(null));
      worker.postMessage(challenge);
    });
  } finally {
    signal?.removeEventListener('abort', abort);
    worker.terminate();
  }
}

function startWorker() {
  const url = new URL('./work-worker.js', import.meta.url);
  return new Worker(/** @type {URL} */ (trusted(url.href)), { type: 'module' });
}

/** @type {((url: string) => unknown)|undefined} */
let policy;

/**
 * Where a page takes scripts only from trusted places (Trusted Types), the worker's address is vouched for: this one and no other.
 * @param {string} url
 */
function trusted(url) {
  const types = /** @type {any} */ (globalThis).trustedTypes;
  if (!types) return url;
  if (!policy) {
    const made = types.createPolicy('anoncam-work', { createScriptURL: () => url });
    policy = () => made.createScriptURL('');
  }
  return policy(url);
}

/**
 * @param {string} challenge
 * @param {AbortSignal|undefined} signal
 */
async function inSlices(challenge, signal) {
  const search = new Search(challenge);
  for (;;) {
    const until = performance.now() + SLICE_MS;
    while (performance.now() < until) {
      const proof = search.step(SLICE_TRIES);
      if (proof !== null) return proof;
    }
    await new Promise((resolve) => setTimeout(resolve));
    throwIfAborted(signal);
  }
}
