// WebKitGTK through WebDriver (Debian's webkit2gtk-driver), as a page in the manner of Puppeteer: what person.mjs needs of one.
// Xvfb is a display without a screen.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { freeTcpPort } from './server.mjs';

const MINI_BROWSER = '/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser';
const START_MS = 120_000;
const ENTER = '\uE007';

export const installed = ['/usr/bin/WebKitWebDriver', '/usr/bin/Xvfb', MINI_BROWSER].every((path) => existsSync(path));

/** Starts it; `close` ends everything that belongs to it. */
export async function openWebKit() {
  const driverPort = await freeTcpPort();
  const screen = spawn('Xvfb', ['-displayfd', '3', '-screen', '0', '1280x800x24', '-nolisten', 'tcp'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
  const number = await new Promise((resolve, reject) => {
    screen.stdio[3].once('data', resolve);
    screen.once('exit', () => reject(new Error('Xvfb did not start')));
  });
  const display = `:${String(number).trim()}`;
  const env = { ...process.env, DISPLAY: display, GDK_BACKEND: 'x11', WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1', WEBKIT_DISABLE_COMPOSITING_MODE: '1' };
  const children = [
    screen,
    spawn('WebKitWebDriver', [`--port=${driverPort}`, '--host=127.0.0.1'], { env, stdio: 'ignore' }),
  ];
  const call = async (method, path, body) => {
    const answer = await fetch(`http://127.0.0.1:${driverPort}${path}`, { method, body: body && JSON.stringify(body) });
    const { value } = await answer.json();
    if (!answer.ok) throw new Error(`${method} ${path}: ${value.error} ${value.message}`);
    return value;
  };
  const options = { binary: MINI_BROWSER, args: ['--automation'] };
  const wanted = { capabilities: { alwaysMatch: { browserName: 'MiniBrowser', 'webkitgtk:browserOptions': options } } };
  try {
    const { sessionId } = await eventually(() => call('POST', '/session', wanted), START_MS);
    return new WebKitPage((method, path, body) => call(method, `/session/${sessionId}${path}`, body), children);
  } catch (error) {
    for (const child of children) child.kill();
    throw error;
  }
}

class WebKitPage {
  #call;
  #children;
  keyboard = { press: (key) => this.#press(key) };

  constructor(call, children) {
    this.#call = call;
    this.#children = children;
  }

  /** There are no events to listen to. */
  on() {}

  goto(url) {
    return this.#call('POST', '/url', { url });
  }

  evaluate(action, ...values) {
    return this.#call('POST', '/execute/sync', { script: `return (${action})(...arguments)`, args: values });
  }

  waitForFunction(condition, { timeout }, ...values) {
    return eventually(() => this.evaluate(condition, ...values), timeout);
  }

  async click(selector) {
    await this.#call('POST', `/element/${await this.#find(selector)}/click`, {});
  }

  async type(selector, text) {
    await this.#call('POST', `/element/${await this.#find(selector)}/value`, { text });
  }

  async close() {
    await this.#call('DELETE', '').catch(() => {});
    for (const child of this.#children) child.kill();
  }

  async #press(key) {
    if (key !== 'Enter') throw new Error(`no key ${key} here`);
    const active = Object.values(await this.#call('GET', '/element/active'))[0];
    await this.#call('POST', `/element/${active}/value`, { text: ENTER });
  }

  async #find(selector) {
    return Object.values(await this.#call('POST', '/element', { using: 'css selector', value: selector }))[0];
  }
}

/** Tries until it works and gives something. */
async function eventually(attempt, timeoutMs) {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    try {
      const value = await attempt();
      if (value) return value;
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${attempt}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
