// What the two tiles say: searching, a chat, an ending, a problem. Draws; decides nothing.

import { $, announce, button, showView } from './dom.js';
import { t } from './i18n.js';

/** @typedef {'searching'|'chat'|'over'|'stopped'|'problem'} Phase */
/** @typedef {{label: string, run: () => unknown, kind?: string}} Action */

/** @type {Map<string, string>} */
const badges = new Map();

/**
 * @param {Phase} phase
 * @param {'text'|'video'} mode
 */
export function showPhase(phase, mode) {
  if (document.body.dataset.view !== 'stage') showView('stage');
  document.body.dataset.phase = phase;
  const stage = $('stage');
  stage.dataset.phase = phase;
  stage.dataset.mode = mode;
  if (phase !== 'chat') clearBadges();
}

/**
 * @param {string} title
 * @param {string} [text]
 * @param {Action[]} [actions] the first gets the focus when the old focus is gone
 */
export function showStatus(title, text = '', actions = []) {
  $('status').removeAttribute('data-calm');
  $('status-title').textContent = title;
  $('status-text').textContent = text;
  const buttons = actions.map(({ label, run, kind }, index) => button(label, run, kind ?? (index === 0 ? 'primary' : 'quiet')));
  $('actions').replaceChildren(...buttons);
  buttons[0]?.focus();
}

/**
 * @param {string} text under the title
 * @param {boolean} [calm] nothing is amiss: over a picture it goes when it has been read
 */
export function showHint(text, calm = false) {
  $('status').toggleAttribute('data-calm', calm);
  if ($('status-text').textContent !== text) $('status-text').textContent = text;
}

/** @param {boolean} reportable */
export function showReportable(reportable) {
  $('stage').toggleAttribute('data-reportable', reportable);
}

/**
 * @param {'path'|'quality'|'media'} name
 * @param {string} text empty: none
 * @param {string} [kind]
 */
export function showBadge(name, text, kind = '') {
  if (badges.get(name) === text) return;
  badges.set(name, text);
  let badge = $('badges').querySelector(`[data-badge=${name}]`);
  if (!badge) {
    badge = document.createElement('span');
    badge.setAttribute('data-badge', name);
    $('badges').append(badge);
  }
  badge.textContent = text;
  badge.className = kind;
  if (!text) badge.remove();
}

function clearBadges() {
  badges.clear();
  $('badges').replaceChildren();
}

/** The page's title tells of a match when the page is not looked at. @param {boolean} matched */
export function showTitle(matched) {
  document.title = matched && document.hidden ? t('title_match') : 'AnonCam';
  if (matched) announce(t('matched'));
}

/** In text the messages begin below what the stranger's tile says, however many lines that takes. */
new ResizeObserver(() => {
  const [tile, end] = [$('stranger').getBoundingClientRect(), $('actions').getBoundingClientRect()];
  $('stage').style.setProperty('--head', `${Math.max(0, Math.round(end.bottom - tile.top + $('stranger').scrollTop))}px`);
}).observe($('status'));

/** The latest message stays in sight when the room for messages changes: a longer status, a growing input, a phone's keyboard. */
new ResizeObserver(() => {
  $('log').scrollTop = $('log').scrollHeight;
}).observe($('log'));
