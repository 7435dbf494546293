// Which words belong to which failure and ending, and what a person can do next.

import { language, t } from './i18n.js';

const BAN_REASONS = ['minor', 'sexual', 'harassment', 'spam', 'other', 'operator'];

/**
 * @param {import('../../src/errors.js').AnonCamError} error
 * @param {number} at when it happened
 * @returns {{title: string, text: string}}
 */
export function errorWords(error, at) {
  if (error.code === 'paused') return { title: t(`paused_${error.reason ?? 'new'}`), text: t('error_paused_text') };
  const title = t(`error_${error.code}`);
  return { title, text: error.code === 'banned' ? banWords(error, at) : t(`error_${error.code}_text`, { time: duration(error.retryAfterMs ?? 5_000) }) };
}

/**
 * Why, until when, whom it may concern instead, and what to name in an appeal.
 * @param {import('../../src/errors.js').AnonCamError} error
 * @param {number} at
 */
function banWords({ reason = '', retryAfterMs, appeal }, at) {
  const why = t(`banned_${BAN_REASONS.includes(reason) ? reason : 'other'}`);
  const until = new Intl.DateTimeFormat(language(), { dateStyle: 'medium', timeStyle: 'short' }).format(at + (retryAfterMs ?? 0));
  const words = [
    ...(retryAfterMs ? [t('error_banned_text', { why, until }), t('error_banned_shared')] : [why, t('error_banned_now')]),
    ...(appeal ? [t('error_banned_appeal', { code: appeal })] : []),
  ];
  return words.join('\n');
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
export const listWords = (items) => new Intl.ListFormat(language(), { type: 'conjunction' }).format(items);

/**
 * A length of time, in the unit that one would say it in.
 * @param {number} ms
 */
export function duration(ms) {
  /** @type {[number, string]} */
  const [unitMs, unit] = ms < 90_000 ? [1_000, 'second'] : ms < 90 * 60_000 ? [60_000, 'minute'] : [3_600_000, 'hour'];
  return new Intl.NumberFormat(language(), { style: 'unit', unit, unitDisplay: 'long' }).format(Math.max(1, Math.ceil(ms / unitMs)));
}
