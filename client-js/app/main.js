// The page's beginning: words, theme, then the app.

import { App } from './ui/app.js';
import { askForNotices } from './ui/notices.js';
import { setUpSettings } from './ui/settings.js';

// iOS does not shrink the page for its keyboard: the visible height is told to the layout, so that the input stays in sight.
const viewport = window.visualViewport;
viewport?.addEventListener('resize', () => document.documentElement.style.setProperty('--visible-height', `${viewport.height}px`));

const words = setUpSettings();
new App().start();
await words;
askForNotices();
