// The safety code as pictures, each with its name in the language of the page. Loaded when somebody looks at it.

import { EMOJI } from '../../src/emoji.js';
import { openDialog } from './dialogs.js';
import { el } from './dom.js';
import { language, t } from './i18n.js';

/** @param {number[]|null} code five numbers from 0 to 63; null: not there yet */
export async function openSafety(code) {
  const names = await emojiNames();
  const pictures = (code ?? []).map((index) => el('li', {}, el('span', { 'aria-hidden': 'true' }, EMOJI[index][0]), names[index]));
  openDialog(
    t('safety'),
    code ? el('ul', { class: 'code' }, ...pictures) : el('p', {}, t('safety_none')),
    el('p', {}, t('safety_text')),
    el('p', { class: 'hint' }, t('safety_limit')),
  );
}

/** In the order of the emoji; in English where the language's own do not come. @returns {Promise<string[]>} */
async function emojiNames() {
  const english = EMOJI.map(([, name]) => name);
  if (language() === 'en') return english;
  return fetch(`/i18n/emoji/${language()}.json`, { credentials: 'omit' }).then((answer) => answer.json()).catch(() => english);
}
