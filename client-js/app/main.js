// The page's beginning: words, theme, then the app.

import { App } from './ui/app.js';
import { $ } from './ui/dom.js';
import { language, useLanguage } from './ui/i18n.js';

const root = document.documentElement;
const languages = $('language', HTMLSelectElement);
languages.value = language();
languages.addEventListener('change', () => void useLanguage(languages.value));
$('theme').addEventListener('click', () => {
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
});

// iOS does not shrink the page for its keyboard: the visible height is told to the layout, so that the input stays in sight.
const viewport = window.visualViewport;
viewport?.addEventListener('resize', () => root.style.setProperty('--visible-height', `${viewport.height}px`));

const words = useLanguage(language());
new App().start();
await words;
