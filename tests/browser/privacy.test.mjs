// What the page leaves behind and whom it asks: nothing and nobody. Also with cookies and storage blocked, and with traps in the browser.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { test } from 'node:test';
import { CHROMIUM, CHROMIUM_ARGS, launchFirefox } from './browsers.mjs';
import { Person, talk } from './person.mjs';
import { clean, useWorld } from './world.mjs';

const world = useWorld({ firefox: true });

/** Put into a page before its own scripts: counts every use of what could follow a person. */
function trap() {
  globalThis.trapped = [];
  const watch = (owner, name) => {
    const original = owner?.[name];
    if (typeof original !== 'function') return;
    owner[name] = function (...values) {
      globalThis.trapped.push(name);
      return original.apply(this, values);
    };
  };
  watch(HTMLCanvasElement.prototype, 'toDataURL');
  watch(HTMLCanvasElement.prototype, 'toBlob');
  watch(HTMLCanvasElement.prototype, 'getContext');
  watch(CanvasRenderingContext2D.prototype, 'getImageData');
  watch(CanvasRenderingContext2D.prototype, 'measureText');
  watch(globalThis.NavigatorUAData?.prototype, 'getHighEntropyValues');
  watch(Navigator.prototype, 'sendBeacon');
  watch(Navigator.prototype, 'getBattery');
  watch(Navigator.prototype, 'getGamepads');
  watch(globalThis.OfflineAudioContext?.prototype ?? {}, 'startRendering');
  watch(Storage.prototype, 'setItem');
  watch(IDBFactory.prototype, 'open');
  watch(globalThis.CacheStorage?.prototype, 'open');
  watch(globalThis.ServiceWorkerContainer?.prototype, 'register');
  globalThis.ReportingObserver = class {
    constructor() {
      globalThis.trapped.push('ReportingObserver');
    }
  };
  const cookies = Object.getOwnPropertyDescriptor(Document.prototype, 'cookie');
  Object.defineProperty(Document.prototype, 'cookie', { ...cookies, set: () => globalThis.trapped.push('cookie') });
}

/** Origins that a page asked for. */
function watchRequests(page) {
  const origins = new Set();
  page.on('request', (request) => /^https?:/.test(request.url()) && origins.add(new URL(request.url()).origin));
  return origins;
}

for (const mode of ['text', 'video']) {
  test(`${mode}: no trap is sprung, no other origin is asked, nothing is left, in either browser`, async () => {
    const origins = [];
    const ann = await world.inChromium('Ann', { prepare: async (page) => {
      origins.push(watchRequests(page));
      await page.addInitScript(trap);
    } });
    const ben = await world.inFirefox('Ben', { prepare: async (page) => {
      origins.push(watchRequests(page));
      await page.evaluateOnNewDocument(trap);
    } });
    for (const person of [ann, ben]) await (mode === 'video' ? person.startVideo() : person.startText());
    await talk(ann, ben);
    if (mode === 'video') await ann.until(() => document.getElementById('remote').videoWidth > 0, 'a picture');
    await ann.click('#stop');
    await ben.phase('over');
    for (const person of [ann, ben]) {
      assert.deepEqual(await person.evaluate(() => globalThis.trapped), [], `${person.name}'s page stays clear of the traps`);
    }
    // The chat server itself may be listed as a request, too.
    const own = [world.server.origin, `https://127.0.0.1:${world.server.udpPort}`];
    for (const asked of origins) assert.deepEqual([...asked].filter((origin) => !own.includes(origin)), []);
    const cookies = await ann.page.context().cookies();
    assert.deepEqual(cookies, []);
    await clean(ann, ben);
  });
}

test('with cookies and storage blocked it works the same', async () => {
  const profile = await mkdtemp(join(tmpdir(), 'anoncam-'));
  await mkdir(join(profile, 'Default'));
  // Setting 2 is "block", for every site: cookies, and with them all storage.
  await writeFile(join(profile, 'Default', 'Preferences'), JSON.stringify({ profile: { default_content_setting_values: { cookies: 2 } } }));
  const blocked = await chromium.launchPersistentContext(profile, { executablePath: CHROMIUM, headless: true, args: CHROMIUM_ARGS });
  const strict = await launchFirefox({ 'network.cookie.cookieBehavior': 2, 'dom.storage.enabled': false, 'dom.indexedDB.enabled': false, 'dom.caches.enabled': false, 'dom.serviceWorkers.enabled': false });
  try {
    const ann = new Person(await blocked.newPage(), 'Ann');
    const ben = new Person(await strict.newPage(), 'Ben');
    for (const person of [ann, ben]) await person.goto(world.server.origin);
    const refused = () => {
      try {
        localStorage.setItem('x', '1');
        return false;
      } catch {
        return true;
      }
    };
    assert.deepEqual([await ann.evaluate(refused), await ben.evaluate(refused)], [true, true], 'storage is blocked here');
    await ann.startVideo();
    await ben.startVideo();
    await talk(ann, ben);
    await ann.sees();
    await clean(ann, ben);
  } finally {
    await Promise.all([blocked.close(), strict.close()]);
    await rm(profile, { recursive: true, force: true });
  }
});

test('a text chat makes no RTCPeerConnection and asks for no camera; after Stop no camera runs', async () => {
  const count = () => {
    globalThis.made = 0;
    globalThis.tracks = [];
    const Native = globalThis.RTCPeerConnection;
    globalThis.RTCPeerConnection = class extends Native {
      constructor(...values) {
        super(...values);
        globalThis.made += 1;
      }
    };
    const ask = MediaDevices.prototype.getUserMedia;
    MediaDevices.prototype.getUserMedia = async function (...values) {
      const stream = await ask.apply(this, values);
      globalThis.tracks.push(...stream.getTracks());
      return stream;
    };
  };
  const [ann, ben] = [await world.inChromium('Ann', { prepare: (page) => page.addInitScript(count) }), await world.inChromium('Ben', { prepare: (page) => page.addInitScript(count) })];
  await ann.startText();
  await ben.startText();
  await talk(ann, ben);
  assert.deepEqual(await ann.evaluate(() => [globalThis.made, globalThis.tracks.length]), [0, 0]);
  for (const person of [ann, ben]) {
    await person.page.goBack();
    await person.until(() => document.body.dataset.view === 'landing', 'the first page');
    await person.startVideo();
  }
  await ann.sees();
  assert.deepEqual(await ann.evaluate(() => [globalThis.made, globalThis.tracks.filter((track) => track.readyState === 'live').length]), [1, 2]);
  await ann.click('#stop');
  assert.equal(await ann.evaluate(() => globalThis.tracks.filter((track) => track.readyState === 'live').length), 0, 'the light is off');
  await ben.phase('over');
});

test('the camera is refused: the page says so, and what to do', async () => {
  const refusing = await chromium.launch({ executablePath: CHROMIUM, headless: true, args: [...CHROMIUM_ARGS.filter((arg) => arg !== '--use-fake-ui-for-media-stream'), '--deny-permission-prompts'] });
  try {
    const ann = new Person(await refusing.newPage(), 'Ann');
    await ann.goto(world.server.origin);
    await ann.click('#adult');
    await ann.click('#start button[value=video]');
    await ann.until(() => document.getElementById('camera-problem-text').textContent.startsWith('The camera or microphone was not allowed.'), 'names the cause');
    await ann.click('[name=path][value=direct]');
    await ann.click('#setup-form .primary');
    assert.equal((await ann.state()).view, 'setup', 'no video without a camera');
  } finally {
    await refusing.close();
  }
});
