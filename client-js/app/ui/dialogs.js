// Dialogs: one element, filled for each purpose. Esc closes it and nothing else.

import { $, button, el } from './dom.js';
import { t } from './i18n.js';

const REASONS = /** @type {const} */ (['minor', 'sexual', 'harassment', 'spam', 'other']);

/**
 * @param {string} title
 * @param {...Node} content
 */
export function openDialog(title, ...content) {
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
  openDialog(t('report_title'), ...REASONS.map((reason) => button(t(`report_${reason}`), choose(reason))), el('p', { class: 'hint' }, t('report_text')));
}

/**
 * @param {{sound: boolean, autoNext: boolean}} settings changed in place
 * @param {'webtransport'|'websocket'|null} over what carries the session
 */
export function openMore(settings, over) {
  const choice = (/** @type {'sound'|'autoNext'} */ name, /** @type {string} */ label) => {
    const box = el('input', { type: 'checkbox', checked: settings[name], autocomplete: 'off' });
    box.addEventListener('change', () => void (settings[name] = box.checked));
    return el('label', { class: 'choice' }, box, label);
  };
  const connection = over ? [el('p', { class: 'hint' }, t(`via_${over}_text`))] : [];
  openDialog(t('more'), choice('sound', t('sound_setting')), choice('autoNext', t('autonext_setting')), el('p', { class: 'hint' }, t('autonext_text')), ...connection);
}

/** @param {Node} content */
export function openDevices(content) {
  openDialog(t('devices'), content);
}
