// What can be said about the page without a browser: every word in every language, the page's own English, and the page's manners.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { LANGUAGES } from '../app/ui/languages.js';
import { EMOJI } from '../src/emoji.js';

const app = fileURLToPath(new URL('../app/', import.meta.url));
const read = (/** @type {string} */ path) => readFileSync(join(app, path), 'utf8');
const LANGUAGES_TESTED = ['en', 'es', 'pt', 'de', 'fr', 'hi', 'ar'];
const placeholders = (/** @type {string} */ text) => (text.match(/\{\w+\}/g) ?? []).sort();
/** @returns {string[]} */
const sources = (/** @type {string} */ folder) => readdirSync(folder, { withFileTypes: true, recursive: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.js') && !entry.name.endsWith('.test.js')).map((entry) => join(entry.parentPath ?? entry.path, entry.name));

for (const folder of ['i18n', 'i18n/pages']) {
  const english = JSON.parse(read(`${folder}/en.json`));
  for (const language of LANGUAGES_TESTED) {
    test(`${folder}/${language}.json has every text, with its values`, () => {
      const texts = JSON.parse(read(`${folder}/${language}.json`));
      assert.deepEqual(Object.keys(texts), Object.keys(english));
      for (const [key, text] of Object.entries(texts)) {
        assert.ok(text.trim(), key);
        assert.deepEqual(placeholders(text), placeholders(english[key]), key);
      }
    });
  }
}

test('the emoji of the safety code have a name in every language, each another', () => {
  for (const language of LANGUAGES_TESTED.filter((tag) => tag !== 'en')) {
    const names = JSON.parse(read(`i18n/emoji/${language}.json`));
    assert.equal(names.length, EMOJI.length, language);
    assert.equal(new Set(names.map((/** @type {string} */ name) => name.trim()).filter(Boolean)).size, EMOJI.length, language);
  }
});

test('the English written into the pages is the English of the catalogue', () => {
  const texts = { ...JSON.parse(read('i18n/en.json')), ...JSON.parse(read('i18n/pages/en.json')) };
  let seen = 0;
  for (const page of ['index.html', 'about.html', 'privacy.html', 'rules.html', '404.html']) {
    for (const [, key, text] of read(page).matchAll(/data-t="(\w+)"[^>]*>([^<]*)</g)) {
      assert.equal(text, texts[key], `${page}: ${key}`);
      seen += 1;
    }
    for (const [, key] of read(page).matchAll(/data-(?:label|placeholder)="(\w+)"/g)) assert.ok(texts[key], `${page}: ${key}`);
  }
  assert.ok(seen > 60);
});

test('the pages of text differ in title, description and content, and in nothing else', () => {
  const frame = (/** @type {string} */ page) => read(page)
    .replace(/<title.*<\/title>\n<meta name="description"[^>]*>/, '')
    .replace(/<main id="main"[^]*<\/main>/, '');
  for (const page of ['privacy.html', 'rules.html', '404.html']) assert.equal(frame(page), frame('about.html'), page);
  for (const shared of [/<header[^]*<\/header>/, /<footer[^]*<\/footer>/]) assert.equal(shared.exec(read('index.html'))?.[0], shared.exec(read('about.html'))?.[0]);
});

test('the languages are the same everywhere', () => {
  assert.deepEqual(Object.keys(LANGUAGES), LANGUAGES_TESTED);
  assert.ok(read('boot.js').includes(`[${LANGUAGES_TESTED.map((tag) => `'${tag}'`).join(', ')}]`));
});

test('every text that the page asks for exists, and every one that exists is asked for', () => {
  const texts = JSON.parse(read('i18n/en.json'));
  const code = sources(join(app, 'ui')).map((path) => readFileSync(path, 'utf8')).join('\n') + read('index.html');
  for (const [, key] of code.matchAll(/\bt\('(\w+)'/g)) assert.ok(texts[key], key);
  const families = /^(error|over|report|quality|badge|paused|banned|via)_/;
  for (const key of Object.keys(texts)) assert.ok(families.test(key) || code.includes(`'${key}'`) || code.includes(`"${key}"`), `${key} is never shown`);
});

test('nothing stores, tracks, parses HTML or names another origin', () => {
  const forbidden = /localStorage|sessionStorage|indexedDB|document\.cookie|serviceWorker|\bcaches\b|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|sendBeacon|toDataURL|getImageData|userAgentData|https?:\/\//;
  const files = [...sources(app), ...sources(fileURLToPath(new URL('../src/', import.meta.url)))];
  assert.ok(files.length > 20);
  for (const path of files) {
    const code = readFileSync(path, 'utf8').replace(/^\s*(\/\/|\*|\/\*).*$/gm, '');
    assert.doesNotMatch(code, forbidden, path);
  }
});

test('no page has inline script or style, and every input keeps its text to itself', () => {
  for (const page of readdirSync(app).filter((name) => name.endsWith('.html'))) {
    const html = read(page);
    assert.doesNotMatch(html, /<style|\sstyle=|\son\w+=|javascript:/, page);
    for (const [script] of html.matchAll(/<script[^>]*>/g)) assert.match(script, /src="\//);
    for (const [input] of html.matchAll(/<(?:input type="text"|textarea)[^>]*>/g)) {
      assert.match(input, /autocomplete="off"/);
      assert.match(input, /spellcheck="false"/);
      assert.match(input, /writingsuggestions="false"/);
    }
  }
});
