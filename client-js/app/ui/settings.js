// Language and theme, at the top of every page: for the life of the page, or by the address (?lang=, ?theme=). Nothing is stored.

import { $, button, el } from './dom.js';
import { language, useLanguage } from './i18n.js';
import { LANGUAGES } from './languages.js';

/**
 * Makes the two controls and loads the language's words. Without scripts they would do nothing, so the pages are written without them.
 * @param {string[]} [more] folders with further catalogues for this page
 */
export function setUpSettings(more = []) {
  const root = document.documentElement;
  const options = Object.entries(LANGUAGES).map(([tag, name]) => el('option', { value: tag, lang: tag, selected: tag === language() }, name));
  const languages = el('select', { id: 'language', autocomplete: 'off', 'data-label': 'language' }, ...options);
  languages.addEventListener('change', () => void useLanguage(languages.value, more));
  const theme = button('', () => {
    const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
  }, 'icon half');
  theme.dataset.label = 'theme';
  $('settings').append(languages, theme);
  return useLanguage(language(), more);
}
