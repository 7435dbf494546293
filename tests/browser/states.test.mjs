// Every state of the page, without a server: no accessibility fault, nothing wider than the window, no errors, in both themes,
// left to right and right to left.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launchChromium, PATIENCE_MS } from './browsers.mjs';
import { servePage } from './page-server.mjs';

/** What axe-core looks for: everything once, and in further views what colours, sizes and places decide. */
const EVERYTHING = { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] };
const LOOKS = { type: 'rule', values: ['color-contrast', 'target-size', 'scrollable-region-focusable', 'link-in-text-block', 'html-has-lang', 'valid-lang'] };
const VIEWS = [
  { width: 1280, height: 800, theme: 'light', lang: 'en', rules: EVERYTHING },
  { width: 390, height: 844, theme: 'dark', lang: 'ar', rules: LOOKS },
  { width: 320, height: 640, theme: 'light', lang: 'de', rules: LOOKS },
];
let browser;
let site;

before(async () => {
  site = await servePage();
  browser = await launchChromium();
});
after(async () => {
  await browser?.close();
  site?.close();
});

async function open({ width, height, theme, lang }) {
  // axe has to be put into the page, which the page's own policy rightly forbids.
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, bypassCSP: true, reducedMotion: 'reduce' });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  return { page, errors, show: (name) => page.goto(`${site.origin}/?state=${name}&lang=${lang}`).then(() => page.waitForSelector(`html[data-shown="${name}"]`)) };
}

async function faults(page, rules = EVERYTHING) {
  await page.addScriptTag({ url: '/fixtures/axe.min.js' });
  const { violations } = await page.evaluate((runOnly) => globalThis.axe.run(document, { runOnly, resultTypes: ['violations'] }), rules);
  return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ target, failureSummary }) => `${target} ${failureSummary.split('\n')[1]}`).join(' | ')}`);
}

for (const view of VIEWS) {
  test(`every state at ${view.width} px, ${view.theme}, ${view.lang}`, async () => {
    const { page, errors, show } = await open(view);
    await show('landing');
    const names = (await page.getAttribute('html', 'data-names')).split(' ');
    assert.ok(names.length > 40);
    const found = [];
    for (const name of names) {
      await show(name);
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (wider > 0) found.push(`${name}: ${wider} px wider than the window`);
      found.push(...(await faults(page, view.rules)).map((fault) => `${name}: ${fault}`));
    }
    assert.deepEqual(found, []);
    assert.deepEqual(errors, []);
    await page.context().close();
  });
}

for (const path of ['/about', '/privacy', '/rules', '/404']) {
  test(`${path} in every language`, async () => {
    for (const lang of ['en', 'ar', 'hi']) {
      const { page, errors } = await open({ ...VIEWS[lang === 'ar' ? 1 : 2], lang });
      await page.goto(`${site.origin}${path}?lang=${lang}`);
      await page.waitForLoadState('networkidle');
      assert.deepEqual(await faults(page), [], `${path} ${lang}`);
      assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0, `${path} ${lang} fits`);
      assert.deepEqual(errors, []);
      await page.context().close();
    }
  });
}

test('interface in seven languages: each has its words and its direction, and nothing overflows', async () => {
  for (const lang of ['en', 'es', 'pt', 'de', 'fr', 'hi', 'ar']) {
    const { page, show } = await open({ width: 320, height: 640, theme: 'light', lang });
    for (const name of ['landing-wishes', 'setup', 'chat', 'video', 'warning', 'banned', 'report-dialog']) {
      await show(name);
      const seen = await page.evaluate(() => ({ lang: document.documentElement.lang, dir: document.documentElement.dir, wider: document.documentElement.scrollWidth - innerWidth }));
      assert.deepEqual(seen, { lang, dir: lang === 'ar' ? 'rtl' : 'ltr', wider: 0 }, name);
    }
    await page.context().close();
  }
});

test('light and dark: by the system, by the address, and by the button for the life of the page', async () => {
  const { page, show } = await open({ ...VIEWS[0], theme: 'dark' });
  const paper = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const [light, dark] = ['rgb(247, 244, 237)', 'rgb(19, 18, 16)'];
  await show('landing');
  assert.equal(await paper(), dark);
  await page.click('#settings button');
  assert.equal(await paper(), light);
  await show('landing');
  assert.equal(await paper(), dark, 'nothing was kept');
  await page.goto(`${site.origin}/?theme=light`);
  assert.equal(await paper(), light);
  await page.context().close();
});

test('the length of a message is told when little of it is left', async () => {
  const { page, show } = await open(VIEWS[0]);
  const told = () => page.textContent('#length');
  await show('chat');
  await page.fill('#text', 'x'.repeat(1_700));
  assert.equal(await told(), '');
  await page.fill('#text', 'x'.repeat(1_900));
  assert.match(await told(), /100/);
  await page.fill('#text', 'x'.repeat(2_001));
  await page.keyboard.press('Enter');
  assert.match(await told(), /1/);
  assert.equal(await page.inputValue('#text').then((text) => text.length), 2_001, 'nothing was sent, nothing is lost');
  await page.context().close();
});
