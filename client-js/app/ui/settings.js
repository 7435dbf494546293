// Language and theme: for the life of the page, or by the address (?lang=, ?theme=). Nothing is stored.

import { $ } from './dom.js';
import { language, useLanguage } from './i18n.js';

/**
 * Wires the two controls and loads the language's words.
 * @param {string[]} [more] folders with further catalogues for this page
 */
export function setUpSettings(more = []) {
  const root = document.documentElement;
  const languages = $('language', HTMLSelectElement);
  languages.value = language();
  languages.addEventListener('change', () => void useLanguage(languages.value, more));
  $('theme').addEventListener('click', () => {
    const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
  });
  return useLanguage(language(), more);
}
