// What the two tiles say: searching, a chat, an ending, a problem. Draws; decides nothing.

import { $, announce, button, showView } from './dom.js';
import { put, t } from './i18n.js';

/** @typedef {'searching'|'chat'|'over'|'stopped'|'problem'} Phase */
/** @typedef {{label: string, run: () => unknown, kind?: string}} Action label: a key of the catalogue */
/** @typedef {() => string} Words told again when the language changes */

/**
 * @param {Phase} phase
 * @param {'text'|'video'} mode
 */
export function showPhase(phase, mode) {
  if (document.body.dataset.view !== 'stage') showView('stage');
  document.body.dataset.phase = phase;
  const stage = $('stage');
  // An ending with nothing left to read is two equal tiles again.
  stage.dataset.phase = phase === 'over' && $('log').childElementCount === 0 ? 'ended' : phase;
  stage.dataset.mode = mode;
  if (phase !== 'chat') clearBadges();
}

/**
 * @param {Words} title
 * @param {Words} [text]
 * @param {Action[]} [actions] the first gets the focus when the old focus is gone
 */
export function showStatus(title, text = () => '', actions = []) {
  $('status').removeAttribute('data-calm');
  put($('status-title'), title);
  put($('status-text'), text);
  const buttons = actions.map(({ label, run, kind }, index) => {
    const made = button(t(label), run, kind ?? (index === 0 ? 'primary' : 'quiet'));
    made.dataset.t = label;
    return made;
  });
  $('actions').replaceChildren(...buttons);
  buttons[0]?.focus();
}

/**
 * @param {Words} text under the title
 * @param {boolean} [calm] nothing is amiss: over a picture it goes when it has been read
 */
export function showHint(text, calm = false) {
  $('status').toggleAttribute('data-calm', calm);
  put($('status-text'), text);
}

/** @param {boolean} reportable */
export function showReportable(reportable) {
  $('stage').toggleAttribute('data-reportable', reportable);
}

/**
 * @param {'path'|'quality'|'media'} name
 * @param {Words|null} text null: none
 * @param {string} [kind]
 */
export function showBadge(name, text, kind = '') {
  let badge = $('badges').querySelector(`[data-badge=${name}]`);
  if (!text) return badge?.remove();
  if (!badge) {
    badge = document.createElement('span');
    badge.setAttribute('data-badge', name);
    $('badges').append(badge);
  }
  badge.className = kind;
  put(badge, text);
}

function clearBadges() {
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
