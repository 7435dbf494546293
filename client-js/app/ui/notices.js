// What the operator says to everybody: a line of their own, what is paused, a changed policy. Quiet, above the tiles; text, never markup.

import { readSite } from '../../src/index.js';
import { $, button, el } from './dom.js';
import { language, put, t } from './i18n.js';

/** @typedef {Pick<import('../../src/site.js').Site, 'message'|'paused'|'policyChanged'|'policyNotice'>} Said */

/** What was read and put away, for the life of the page: it comes back only when something else is said. */
let putAway = '';

/** Asks the site, before anybody has started: the chat server is not asked, and whoever cannot reach the site learns it at Start. */
export function askForNotices() {
  readSite(location.origin).then(showNotices, () => {});
}

/** @param {Said} said */
export function showNotices(said) {
  const lines = noticeLines(said);
  const text = JSON.stringify([said.message, said.paused, said.policyChanged]);
  const away = () => {
    putAway = text;
    $('notice').hidden = true;
  };
  const close = button('×', away, 'icon');
  close.setAttribute('aria-label', t('close'));
  $('notice').replaceChildren(el('div', {}, ...lines), close);
  $('notice').hidden = lines.length === 0 || text === putAway;
}

/** @param {HTMLElement} element @param {() => string} words */
function line(element, words) {
  put(element, words);
  return element;
}

/** @param {Said} said */
function noticeLines({ message, paused, policyChanged, policyNotice }) {
  const lines = paused.filter((what) => ['text', 'video', 'new'].includes(what)).map((what) => line(el('p'), () => t(`paused_${what}`)));
  if (message) lines.unshift(el('p', { dir: 'auto' }, message));
  if (policyChanged) {
    const date = () => new Intl.DateTimeFormat(language(), { dateStyle: 'long', timeZone: 'UTC' }).format(new Date(policyChanged));
    lines.push(el('p', {}, line(el('a', { href: '/privacy' }), () => t('policy_changed', { date: date() })), policyNotice && ' ', policyNotice && el('span', { lang: 'en', dir: 'ltr' }, policyNotice)));
  }
  return lines;
}
