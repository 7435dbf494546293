// On a phone: a page that nobody looks at films nobody, Back means Stop, the input stays in sight. And the comforts: next by itself, the title.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PATIENCE_MS } from './browsers.mjs';
import { talk } from './person.mjs';
import { servePage } from './page-server.mjs';
import { clean, useWorld } from './world.mjs';

// Two cameras, so that there is one to change to.
const world = useWorld({ chromiumArgs: ['--use-fake-device-for-media-stream=device-count=2,fps=10'] });
const PHONE = { viewport: { width: 390, height: 700 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

/** The page is put away, or looked at again: headless browsers have no other tab to switch to. */
const show = (person, shown) => person.evaluate((visible) => {
  Object.defineProperty(document, 'hidden', { value: !visible, configurable: true });
  Object.defineProperty(document, 'visibilityState', { value: visible ? 'visible' : 'hidden', configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}, shown);

/** Counts what keeps the screen on. */
const watchWakeLock = (page) => page.addInitScript(() => {
  globalThis.awake = 0;
  Object.defineProperty(navigator, 'wakeLock', { value: { request: async () => {
    globalThis.awake += 1;
    return { release: async () => void (globalThis.awake -= 1) };
  } } });
});

test('a hidden page stops its camera, the stranger sees it, and it is on again afterwards; the screen stays on until Stop', async () => {
  const [ann, ben] = [await world.inChromium('Ann', { context: PHONE, prepare: watchWakeLock }), await world.inChromium('Ben')];
  await ann.startVideo();
  await ben.startVideo();
  await Promise.all([ann.sees(), ben.sees()]);
  await ann.evaluate(() => void (globalThis.own = document.getElementById('self').srcObject));
  assert.equal(await ann.evaluate(() => globalThis.awake), 1, 'the screen stays on');
  await show(ann, false);
  await ann.until(() => globalThis.own.getVideoTracks().length === 0, 'the camera has stopped');
  await ben.until(() => document.getElementById('badges').textContent.includes('camera is off'), 'the stranger sees it');
  await show(ann, true);
  await ann.until(() => globalThis.own.getVideoTracks()[0]?.readyState === 'live', 'the camera is on again');
  await ben.until(() => !document.getElementById('badges').textContent.includes('camera is off'), 'the stranger sees that, too');
  await ben.evaluate(() => void (globalThis.lastPicture = undefined));
  await ben.sees();
  await ann.page.goBack();
  await ann.until(() => document.body.dataset.view === 'landing' && globalThis.own.getTracks().length === 0 && globalThis.awake === 0, 'Back means Stop, for the screen, too');
  await ben.phase('over');
  await clean(ann, ben);
});

test('another camera is picked from the list, and flipped on a phone; the stranger goes on seeing', async () => {
  const [ann, ben] = [await world.inChromium('Ann', { context: PHONE }), await world.inChromium('Ben')];
  await ann.startVideo();
  await ben.startVideo();
  await Promise.all([ann.sees(), ben.sees()]);
  const label = () => ann.evaluate(() => document.getElementById('self').srcObject.getVideoTracks()[0].label);
  const before = await label();
  await ann.click('#devices');
  await ann.until(() => document.querySelectorAll('#dialog-body select').length >= 2, 'cameras and microphones');
  const other = await ann.evaluate((now) => [...document.querySelector('#dialog-body select').options].find((one) => one.text !== now).text, before);
  await ann.page.selectOption('#dialog-body select', { label: other });
  await ann.until((wanted) => document.getElementById('self').srcObject.getVideoTracks()[0]?.label === wanted, 'the other camera', other);
  await ann.click('#dialog-close');
  await ann.click('#flip');
  await ann.until(() => document.getElementById('self').classList.contains('outward'), 'the camera looks outward');
  await ben.evaluate(() => void (globalThis.lastPicture = undefined));
  await ben.sees();
  await clean(ann, ben);
});

test('the keyboard does not cover the input, and targets are large', async () => {
  const [ann, ben] = [await world.inChromium('Ann', { context: PHONE }), await world.inChromium('Ben', { context: PHONE })];
  await ann.startText();
  await ben.startText();
  await talk(ann, ben);
  await ann.page.setViewportSize({ width: 390, height: 330 }); // What an open keyboard leaves.
  const seen = await ann.evaluate(() => {
    const box = document.getElementById('text').getBoundingClientRect();
    return { inside: box.top >= 0 && box.bottom <= innerHeight, small: [...document.querySelectorAll('#stage button')].filter((one) => one.offsetParent && one.offsetHeight < 44).map((one) => one.id) };
  });
  assert.deepEqual(seen, { inside: true, small: [] });
});

test('next by itself: off by default; when on, it goes on after a stranger left, and not while the page is hidden', async () => {
  const [ann, ben] = [await world.inChromium('Ann'), await world.inChromium('Ben')];
  await ann.startText();
  await ben.startText();
  await talk(ann, ben);
  await ben.next();
  await ann.phase('over');
  await ann.next();
  await Promise.all([ann.phase('chat'), ben.phase('chat')]);
  await ann.click('#more');
  await ann.click('#dialog-body label:nth-of-type(2) input');
  await ann.click('#dialog-close');
  await ben.next();
  await ann.phase('over');
  await ann.phase('searching'); // Within 3 s, by itself.
  await Promise.all([ann.phase('chat'), ben.phase('chat')]);
  await show(ann, false);
  await ben.next();
  await ann.phase('over');
  await ann.until(() => !document.getElementById('status-text').textContent.includes('by itself'), 'waits for the person');
});

test('next by itself stops after three strangers without a word', async () => {
  const site = await servePage();
  const page = await world.chromium.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  try {
    await page.goto(`${site.origin}/?state=chat-empty`);
    await page.waitForSelector('html[data-shown]');
    await page.click('#more');
    await page.click('#dialog-body label:nth-of-type(2) input');
    await page.click('#dialog-close');
    for (const last of [false, false, true]) {
      await page.evaluate(() => globalThis.cam.say('ended', { why: 'left' }));
      await page.waitForFunction((words) => document.getElementById('status-text').textContent.startsWith(words), last ? 'Automatic next has stopped' : 'The next stranger comes by itself');
      if (last) break;
      await page.waitForFunction(() => document.body.dataset.phase === 'searching');
      await page.evaluate(() => globalThis.cam.say('matched', { mode: 'text', shared: [] }));
    }
  } finally {
    await page.close();
    site.close();
  }
});

test('the title tells of a match on a page that is not looked at, and so does a sound for who wants one', async () => {
  const listen = (page) => page.addInitScript(() => {
    globalThis.sounds = 0;
    const Native = AudioContext;
    globalThis.AudioContext = class extends Native {
      constructor() {
        super();
        globalThis.sounds += 1;
      }
    };
  });
  const [ann, ben] = [await world.inChromium('Ann', { prepare: listen }), await world.inChromium('Ben', { prepare: listen })];
  await ann.startText();
  await ann.phase('searching');
  await ann.click('#more');
  await ann.click('#dialog-body label:nth-of-type(1) input');
  await ann.click('#dialog-close');
  await show(ann, false);
  await ben.startText();
  await ann.until(() => document.title.startsWith('A stranger is here'), 'the title tells');
  await show(ann, true);
  await ann.until(() => document.title === 'AnonCam', 'and is quiet again');
  await ann.until(() => globalThis.sounds === 1, 'a sound');
  assert.equal(await ben.evaluate(() => globalThis.sounds), 0, 'silence is the default');
});

test('typing is shown, and taken back', async () => {
  const [ann, ben] = [await world.inChromium('Ann'), await world.inChromium('Ben')];
  await ann.startText();
  await ben.startText();
  await Promise.all([ann.phase('chat'), ben.phase('chat')]);
  await talk(ann, ben);
  await ann.page.type('#text', 'hm');
  await ben.until(() => document.getElementById('typing').textContent !== '', 'shown');
  await ben.until(() => document.getElementById('typing').textContent === '', 'taken back after a pause');
});

test('the own picture is moved by dragging and by keys', async () => {
  const [ann, ben] = [await world.inChromium('Ann'), await world.inChromium('Ben')];
  await ann.startVideo();
  await ben.startVideo();
  await ann.sees();
  const place = () => ann.evaluate(() => {
    const { left, top } = document.getElementById('you').getBoundingClientRect();
    return [Math.round(left), Math.round(top)];
  });
  const [x, y] = await place();
  await ann.page.mouse.move(x + 20, y + 20);
  await ann.page.mouse.down();
  await ann.page.mouse.move(x + 220, y + 120, { steps: 4 });
  await ann.page.mouse.up();
  assert.deepEqual(await place(), [x + 200, y + 100]);
  await ann.page.focus('#you');
  await ann.page.keyboard.press('ArrowRight');
  assert.deepEqual(await place(), [x + 224, y + 100]);
});

test('both read the same safety code', async () => {
  const [ann, ben] = [await world.inChromium('Ann'), await world.inChromium('Ben')];
  await ann.startVideo();
  await ben.startVideo();
  await Promise.all([ann.sees(), ben.sees()]);
  const codes = [];
  for (const person of [ann, ben]) {
    await person.click('#safety');
    await person.until(() => document.querySelectorAll('#dialog-body .code li').length === 5, 'five pictures');
    codes.push(await person.evaluate(() => document.querySelector('#dialog-body .code').innerText));
  }
  assert.equal(codes[0], codes[1]);
});
