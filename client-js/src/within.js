// Waiting with a deadline and a way to cancel.

import { AnonCamError } from './errors.js';

/**
 * A promise that fails as `unreachable` after a while, and as `aborted` by a signal.
 * @template T
 * @param {Promise<T>} promise
 * @param {number} timeoutMs
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 */
export function within(promise, timeoutMs, signal) {
  return new Promise((resolve, reject) => {
    const aborted = () => settle(() => reject(new AnonCamError('aborted', { cause: signal?.reason })));
    const timer = setTimeout(() => settle(() => reject(new AnonCamError('unreachable'))), timeoutMs);
    /** @param {() => void} action */
    const settle = (action) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', aborted);
      action();
    };
    if (signal?.aborted) return aborted();
    signal?.addEventListener('abort', aborted);
    promise.then(
      (value) => settle(() => resolve(value)),
      (error) => settle(() => reject(error)),
    );
  });
}

/** @param {() => void} action something that may throw when it is too late for it */
export function quietly(action) {
  try {
    action();
  } catch {
    // The session or stream was already closed: that is what was wanted.
  }
}
