// A person at a browser, in words of the journeys: the same for Chromium (Playwright) and Firefox (Puppeteer over WebDriver BiDi).

import { PATIENCE_MS } from './browsers.mjs';

export class Person {
  /** @type {string[]} */
  errors = [];

  /**
   * @param {any} page of Playwright or Puppeteer
   * @param {string} name
   */
  constructor(page, name) {
    this.page = page;
    this.name = name;
    page.setDefaultTimeout?.(PATIENCE_MS);
    this.playwright = typeof page.waitForLoadState === 'function';
    page.on('pageerror', (error) => this.errors.push(String(error)));
  }

  /** @param {string} address */
  async goto(address) {
    await this.page.goto(address, { waitUntil: 'load' });
    await this.until(() => document.querySelector('#langs button') !== null, 'the page has started');
  }

  /** Waits until something is true in the page; fails with the story so far. */
  async until(condition, what, ...values) {
    try {
      if (this.playwright) await this.page.waitForFunction(new Function('values', `return (${condition})(...values)`), values, { timeout: PATIENCE_MS });
      else await this.page.waitForFunction(condition, { timeout: PATIENCE_MS }, ...values);
    } catch (cause) {
      throw new Error(`${this.name}: not so: ${what}. The page says: ${JSON.stringify(await this.state().catch(() => null))}`, { cause });
    }
  }

  /** Runs a function in the page. */
  evaluate(action, ...values) {
    if (!this.playwright) return this.page.evaluate(action, ...values);
    return this.page.evaluate(new Function('values', `return (${action})(...values)`), values);
  }

  state() {
    return this.evaluate(() => ({
      view: document.body.dataset.view, phase: document.body.dataset.phase, problem: document.body.dataset.problem,
      title: document.getElementById('status-title').textContent, text: document.getElementById('status-text').textContent,
      log: document.getElementById('log').innerText.slice(-300),
    }));
  }

  click(selector) {
    return this.page.click(selector);
  }

  async startText({ interests = [], strict = false } = {}) {
    if (interests.length > 0) {
      await this.click('#wishes summary');
      for (const interest of interests) {
        await this.page.type('#interest', interest);
        await this.page.keyboard.press('Enter');
      }
      if (strict) await this.click('[name=strict][value="1"]');
    }
    await this.click('#adult');
    await this.click('#start button[value=text]');
    await this.until(() => document.body.dataset.view === 'stage', 'the search began');
  }

  async startVideo(path = 'direct') {
    await this.click('#adult');
    await this.click('#start button[value=video]');
    await this.until(() => document.getElementById('preview').srcObject?.active, 'the preview shows');
    await this.click(`[name=path][value=${path}]`);
    await this.click('#setup-form .primary');
    await this.until(() => document.body.dataset.view === 'stage', 'the search began');
  }

  phase(phase) {
    return this.until((wanted) => document.body.dataset.phase === wanted, `phase ${phase}`, phase);
  }

  problem(code) {
    return this.until((wanted) => document.body.dataset.phase === 'problem' && document.body.dataset.problem === wanted, `problem ${code}`, code);
  }

  async say(text) {
    await this.page.type('#text', text);
    await this.page.keyboard.press('Enter');
  }

  hears(text) {
    return this.until((wanted) => [...document.querySelectorAll('#log .theirs')].some((one) => one.innerText.includes(wanted)), `hears ${text}`, text);
  }

  /** What the stranger said, and what was said to them. */
  async transcript() {
    return this.evaluate(() => [...document.querySelectorAll('#log p')].map((one) => `${one.className}: ${one.querySelector('[dir]').textContent}`));
  }

  /** The guard of 600 ms against a late tap has to pass: the page itself is asked, by trying again. */
  async next() {
    await this.until(() => {
      if (document.body.dataset.phase === 'searching') return true;
      const button = document.body.dataset.phase === 'chat' ? document.getElementById('next') : document.querySelector('#actions .primary');
      button?.click();
      return document.body.dataset.phase === 'searching' || performance.now() === 0;
    }, 'next');
  }

  /** Moving pixels of the stranger have arrived: two different frames of more than one colour. */
  async sees() {
    await this.until(() => {
      const video = document.getElementById('remote');
      if (video.readyState < 2 || video.videoWidth === 0) return false;
      const canvas = document.createElement('canvas');
      canvas.width = canvas.height = 32;
      const pen = canvas.getContext('2d');
      pen.drawImage(video, 0, 0, 32, 32);
      const pixels = pen.getImageData(0, 0, 32, 32).data;
      const colours = new Set();
      for (let i = 0; i < pixels.length; i += 4) colours.add(pixels.slice(i, i + 3).join());
      globalThis.lastPicture ??= String(pixels);
      return colours.size > 3 && String(pixels) !== globalThis.lastPicture;
    }, 'sees the stranger move');
  }

  /** What the page left in the browser. */
  leftovers() {
    return this.evaluate(async () => {
      const tries = {
        cookie: () => document.cookie,
        local: () => Object.keys(localStorage).length,
        session: () => Object.keys(sessionStorage).length,
        databases: async () => (await indexedDB.databases()).length,
        caches: async () => (await globalThis.caches?.keys())?.length ?? 0,
        workers: async () => (await navigator.serviceWorker?.getRegistrations())?.length ?? 0,
      };
      const found = {};
      for (const [name, look] of Object.entries(tries)) {
        try {
          const left = await look();
          if (left) found[name] = left;
        } catch {
          // Blocked: nothing can be there.
        }
      }
      return found;
    });
  }
}

/** Text arrives both ways between two people. */
export async function talk(one, two, words = 'hello') {
  await Promise.all([one.phase('chat'), two.phase('chat')]);
  await one.say(`${words} from ${one.name}`);
  await two.hears(`${words} from ${one.name}`);
  await two.say(`${words} from ${two.name}`);
  await one.hears(`${words} from ${two.name}`);
}
