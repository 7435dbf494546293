// What is said: messages as text, ticks, typing, the input. Nothing of it survives `clear`.

import { MAX_TEXT_UNITS } from '../../src/index.js';
import { $, el } from './dom.js';
import { t } from './i18n.js';

/** Most messages kept on the page; older ones go. */
const MAX_SHOWN = 300;
/** The length is shown when so many characters are left. */
const TELL_LEFT_UNITS = 200;
/** A `typing` that is not repeated or taken back is gone after this. */
const TYPING_FOR_MS = 6_000;
/** Own typing is taken back after so long without a key. */
const PAUSE_MS = 3_000;

/** @type {Map<number, HTMLElement>} own messages that have not arrived, by id */
const waiting = new Map();
/** @type {ReturnType<typeof setTimeout>|undefined} */
let typingTimer;
/** @type {ReturnType<typeof setTimeout>|undefined} */
let pauseTimer;

const input = $('text', HTMLTextAreaElement);

/**
 * @param {{send: (text: string) => number, typing: (on: boolean) => void}} actions `send` throws what keeps a text from going out
 */
export function setUpConversation(actions) {
  $('composer').addEventListener('submit', (event) => {
    event.preventDefault();
    submit(actions.send);
  });
  input.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit(actions.send);
  });
  input.addEventListener('input', () => {
    showLength();
    actions.typing(input.value !== '');
    clearTimeout(pauseTimer);
    pauseTimer = setTimeout(() => actions.typing(false), PAUSE_MS);
  });
}

/** @param {(text: string) => number} send */
function submit(send) {
  const text = input.value.trim();
  if (!text) return;
  if (text.length > MAX_TEXT_UNITS) return showLength();
  try {
    const id = send(text);
    const tick = el('span', { class: 'tick' }, t('sent'));
    show('mine', text, tick);
    waiting.set(id, tick);
    input.value = '';
    showLength();
  } catch (error) {
    const busy = /** @type {{code?: string}} */ (error).code === 'busy';
    $('length').textContent = busy ? t('busy') : t('too_long', { n: 1 });
  }
}

function showLength() {
  const left = MAX_TEXT_UNITS - input.value.length;
  $('length').textContent = left < 0 ? t('too_long', { n: -left }) : left <= TELL_LEFT_UNITS ? t('units_left', { n: left }) : '';
}

/**
 * @param {'mine'|'theirs'} whose
 * @param {string} text
 * @param {...HTMLElement} more
 */
function show(whose, text, ...more) {
  const log = $('log');
  const name = el('span', { class: 'unseen' }, `${t(whose === 'mine' ? 'you' : 'stranger')}: `);
  const words = el('span', { dir: 'auto' }, text);
  log.append(el('p', { class: whose }, name, words, ...more));
  while (log.children.length > MAX_SHOWN) log.firstElementChild?.remove();
  log.scrollTop = log.scrollHeight;
}

/** @param {string} text of the stranger; shown as it is, links too: nothing in it can run or load */
export function showMessage(text) {
  showTyping(false);
  show('theirs', text);
}

/** @param {number} id */
export function showDelivered(id) {
  const tick = waiting.get(id);
  if (tick) tick.textContent = t('delivered');
  waiting.delete(id);
}

/** @param {boolean} on */
export function showTyping(on) {
  clearTimeout(typingTimer);
  $('typing').textContent = on ? t('is_typing') : '';
  if (on) typingTimer = setTimeout(() => showTyping(false), TYPING_FOR_MS);
}

/** @param {boolean} on whether text can be sent @param {string} [why] */
export function enableInput(on, why) {
  input.disabled = !on;
  input.placeholder = on ? t('message') : (why ?? '');
}

/** Wipes the transcript and the input from the page and from memory. */
export function clearConversation() {
  clearTimeout(pauseTimer);
  showTyping(false);
  waiting.clear();
  $('log').replaceChildren();
  input.value = '';
  showLength();
}
