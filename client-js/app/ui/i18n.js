// Words in seven languages, one catalogue loaded at a time.

/** @type {Record<string, string>} */
let catalogue = {};
/** Words that came into the page since it was loaded, by their place. @type {Map<Element, () => string>} */
const spoken = new Map();

/** The language that is shown. */
export const language = () => document.documentElement.lang;

/**
 * A text with its values put in.
 * @param {string} key
 * @param {Record<string, string|number>} [values]
 */
export function t(key, values = {}) {
  return (catalogue[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === 'number' ? number(value) : (value ?? '');
  });
}

/** @param {number} value */
export const number = (value) => new Intl.NumberFormat(language()).format(value);

/**
 * Loads a catalogue and puts it into the page.
 * @param {string} lang
 * @param {string[]} [more] folders with further catalogues
 */
export async function useLanguage(lang, more = []) {
  const root = document.documentElement;
  const load = async (/** @type {string} */ folder) => (await fetch(`${folder}${lang}.json`, { credentials: 'omit' })).json();
  try {
    catalogue = Object.assign({}, ...(await Promise.all(['/i18n/', ...more].map(load))));
    root.lang = lang;
    root.dir = lang === 'ar' ? 'rtl' : 'ltr';
    translate(document);
  } finally {
    root.classList.remove('untranslated');
  }
}

/**
 * Puts words into an element: again when another language is chosen.
 * @param {Element} element
 * @param {() => string} words
 */
export function put(element, words) {
  spoken.set(element, words);
  const text = words();
  // The same words are not said to a screen reader again.
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Puts the current language's words into everything that names its text.
 * @param {ParentNode} root
 */
export function translate(root) {
  for (const [element, words] of spoken) element.isConnected ? put(element, words) : spoken.delete(element);
  for (const element of root.querySelectorAll('[data-t]')) element.textContent = t(/** @type {HTMLElement} */ (element).dataset.t ?? '');
  for (const element of root.querySelectorAll('[data-label]')) element.setAttribute('aria-label', t(/** @type {HTMLElement} */ (element).dataset.label ?? ''));
  for (const element of root.querySelectorAll('[data-placeholder]')) element.setAttribute('placeholder', t(/** @type {HTMLElement} */ (element).dataset.placeholder ?? ''));
}
