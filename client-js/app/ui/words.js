// Which words belong to which failure and ending, and what a person can do next.

import { t } from './i18n.js';

/**
 * @param {import('../../src/errors.js').AnonCamError} error
 * @returns {{title: string, text: string}}
 */
export function errorWords(error) {
  const seconds = Math.max(1, Math.ceil((error.retryAfterMs ?? 5_000) / 1000));
  const title = t(`error_${error.code}`);
  if (error.code !== 'banned') return { title, text: t(`error_${error.code}_text`, { s: seconds }) };
  const until = new Date(Date.now() + (error.retryAfterMs ?? 0));
  const when = error.retryAfterMs
    ? new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: 'medium', timeStyle: 'short' }).format(until)
    : '?';
  const why = t('error_banned_text', { why: t('error_banned_why'), until: when });
  return { title, text: error.appeal ? `${why} ${t('error_banned_appeal', { code: error.appeal })}` : why };
}

/** Whether trying again by itself makes sense, and when. @param {import('../../src/errors.js').AnonCamError} error */
export function retryAfterMs(error) {
  if (error.code !== 'full' && error.code !== 'draining') return null;
  // Everybody was told the same time: a little later each.
  return (error.retryAfterMs ?? 5_000) * (1 + Math.random() / 4);
}

/** @param {number} online as the shards count them */
export const onlineWords = (online) => (online < 10 ? t('online_few') : t('online', { n: online }));

/** @param {string[]} items */
export const listWords = (items) => new Intl.ListFormat(document.documentElement.lang, { type: 'conjunction' }).format(items);
