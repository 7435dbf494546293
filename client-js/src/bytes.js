// Small helpers on bytes: base64url, concatenation, comparison.

/**
 * base64url without padding.
 * @param {Uint8Array} bytes
 */
export function toBase64Url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replace(/[+/=]/g, (c) => (c === '+' ? '-' : c === '/' ? '_' : ''));
}

/**
 * The bytes of an unpadded base64url string; null if it is anything else.
 * @param {unknown} text
 * @returns {Uint8Array<ArrayBuffer>|null}
 */
export function fromBase64Url(text) {
  if (typeof text !== 'string' || !/^[A-Za-z0-9_-]{0,512}$/.test(text) || text.length % 4 === 1) return null;
  return fromBase64(text.replace(/-/g, '+').replace(/_/g, '/'));
}

/**
 * The bytes of a base64 string.
 * @param {string} text
 * @returns {Uint8Array<ArrayBuffer>}
 */
export const fromBase64 = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/**
 * @param {...Uint8Array} parts
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * @param {Uint8Array} a
 * @param {Uint8Array} b
 */
export const equal = (a, b) => a.length === b.length && a.every((byte, index) => byte === b[index]);
