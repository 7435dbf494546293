// Debian's Chromium (Playwright) and Firefox (WebDriver BiDi through Puppeteer), with fake cameras.

import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';

/** How long anything may take on a machine that does much else; nothing waits for so long on a quiet one. */
export const PATIENCE_MS = 120_000;

export const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FIREFOX = process.env.FIREFOX ?? '/usr/bin/firefox-esr';

export const CHROMIUM_ARGS = [
  '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--use-fake-device-for-media-stream=fps=10', '--use-fake-ui-for-media-stream', '--allow-loopback-in-peer-connection',
];

export const launchChromium = (args = []) => chromium.launch({ executablePath: CHROMIUM, headless: true, args: [...CHROMIUM_ARGS, ...args] });

export const launchFirefox = (prefs = {}) => puppeteer.launch({
  browser: 'firefox',
  executablePath: FIREFOX,
  headless: true,
  timeout: PATIENCE_MS,
  extraPrefsFirefox: {
    'media.navigator.streams.fake': true,
    'media.navigator.permission.disabled': true,
    'media.peerconnection.ice.loopback': true,
    ...prefs,
  },
});
