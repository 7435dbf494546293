// The first view: who may come in, and whom they would like to meet. Nothing connects from here.

import { $, button, el, showView } from './dom.js';
import { t } from './i18n.js';
import { LANGUAGES } from './languages.js';

const MAX_INTERESTS = 10;
const MAX_LANGS = 5;

/** @type {string[]} */
let interests = [];
/** @type {Set<string>} */
const langs = new Set();

/**
 * @param {(mode: 'text'|'video', wishes: {interests: string[], strict: boolean, langs: string[]}) => void} start
 */
export function setUpLanding(start) {
  const form = $('start', HTMLFormElement);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    takeInterest();
    const adult = $('adult', HTMLInputElement);
    $('age-error').hidden = adult.checked;
    if (!adult.checked) return adult.focus();
    const mode = /** @type {HTMLButtonElement|null} */ (event.submitter)?.value === 'video' ? 'video' : 'text';
    start(mode, { interests: [...interests], strict: form.elements.namedItem('strict') !== null && new FormData(form).get('strict') === '1' && interests.length > 0, langs: [...langs] });
  });
  $('adult').addEventListener('change', () => void ($('age-error').hidden = true));
  $('under').addEventListener('click', () => {
    showView('too-young');
    $('young-title').focus();
  });
  $('interest').addEventListener('keydown', (event) => {
    if (event.isComposing || (event.key !== 'Enter' && event.key !== ',')) return;
    event.preventDefault();
    takeInterest();
  });
  $('langs').append(...Object.entries(LANGUAGES).map(languageChip));
}

/** Forgets what was chosen, in page and memory. */
export function forgetWishes() {
  interests = [];
  langs.clear();
  $('start', HTMLFormElement).reset();
  showInterests();
  for (const chip of $('langs').children) chip.setAttribute('aria-pressed', 'false');
}

function takeInterest() {
  const input = $('interest', HTMLInputElement);
  const interest = input.value.normalize('NFKC').replace(/\p{Cc}/gu, '').trim();
  input.value = '';
  const known = interests.some((one) => one.toLowerCase() === interest.toLowerCase());
  if (!interest || known || [...interest].length > 32 || interests.length >= MAX_INTERESTS) return;
  interests.push(interest);
  showInterests();
}

function showInterests() {
  $('chips').replaceChildren(...interests.map((interest) => {
    const remove = button(`${interest} ×`, () => {
      interests = interests.filter((one) => one !== interest);
      showInterests();
      $('interest').focus();
    }, 'chip');
    remove.setAttribute('aria-label', t('remove', { what: interest }));
    return el('li', {}, remove);
  }));
}

/** @param {[string, string]} language */
function languageChip([tag, name]) {
  const chip = button(name, () => {
    if (!langs.delete(tag) && langs.size < MAX_LANGS) langs.add(tag);
    chip.setAttribute('aria-pressed', String(langs.has(tag)));
  }, 'chip');
  chip.lang = tag;
  chip.setAttribute('aria-pressed', 'false');
  return chip;
}
