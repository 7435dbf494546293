// Dialogs: one element, filled for each purpose. Esc closes it and nothing else.

import { $, button, el } from './dom.js';
import { t } from './i18n.js';

const REASONS = /** @type {const} */ (['minor', 'sexual', 'harassment', 'spam', 'other']);

/**
 * @param {string} title
 * @param {...Node} content
 */
function open(title, ...content) {
  const dialog = $('dialog', HTMLDialogElement);
  $('dialog-title').textContent = title;
  $('dialog-body').replaceChildren(...content);
  if (!dialog.open) dialog.showModal();
  $('dialog-title').focus();
}

/** Whether a dialog is open. */
export const dialogOpen = () => $('dialog', HTMLDialogElement).open;

export function closeDialog() {
  const dialog = $('dialog', HTMLDialogElement);
  if (dialog.open) dialog.close();
  $('dialog-body').replaceChildren();
}

/** @param {(reason: typeof REASONS[number]) => void} report the second and last click */
export function openReport(report) {
  const choose = (/** @type {typeof REASONS[number]} */ reason) => () => {
    closeDialog();
    report(reason);
  };
  open(t('report_title'), ...REASONS.map((reason) => button(t(`report_${reason}`), choose(reason))), el('p', { class: 'hint' }, t('report_text')));
}

/** @param {number[]|null} code */
export async function openSafety(code) {
  const { EMOJI } = await import('../../src/emoji.js');
  const pictures = (code ?? []).map((index) => {
    const [emoji, name] = EMOJI[index];
    return el('li', {}, el('span', { 'aria-hidden': 'true' }, emoji), name);
  });
  open(
    t('safety'),
    code ? el('ul', { class: 'code' }, ...pictures) : el('p', {}, t('safety_none')),
    el('p', {}, t('safety_text')),
    el('p', { class: 'hint' }, t('safety_limit')),
  );
}

/** @param {{sound: boolean, autoNext: boolean}} settings changed in place */
export function openMore(settings) {
  const choice = (/** @type {'sound'|'autoNext'} */ name, /** @type {string} */ label) => {
    const box = el('input', { type: 'checkbox', checked: settings[name], autocomplete: 'off' });
    box.addEventListener('change', () => void (settings[name] = box.checked));
    return el('label', { class: 'choice' }, box, label);
  };
  open(t('more'), choice('sound', t('sound_setting')), choice('autoNext', t('autonext_setting')), el('p', { class: 'hint' }, t('autonext_text')));
}

/** @param {Node} content */
export function openDevices(content) {
  open(t('devices'), content);
}
