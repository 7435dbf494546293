// WebKit, through Debian's webkit2gtk-driver: version 2.50 has neither WebTransport nor RTCPeerConnection, so a chat cannot come about there.
// What can be shown is shown: the page runs, and says in words that this browser cannot connect. Skipped where the driver is not installed
// (apt-get install webkit2gtk-driver libgtk-3-bin: the second has broadwayd, a display without a screen).

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { after, test } from 'node:test';
import { freeTcpPort, Server } from './server.mjs';

const MINI_BROWSER = '/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser';
const installed = ['/usr/bin/WebKitWebDriver', '/usr/bin/broadwayd', MINI_BROWSER].every((path) => existsSync(path));
const children = [];
after(() => children.forEach((child) => child.kill()));

/** A WebDriver session; `call` speaks to it. */
async function openWebKit() {
  const [display, driverPort, broadwayPort] = [String(20 + Math.floor(Math.random() * 60)), await freeTcpPort(), await freeTcpPort()];
  const { XDG_RUNTIME_DIR: _, ...outer } = process.env;
  const env = { ...outer, GDK_BACKEND: 'broadway', BROADWAY_DISPLAY: `:${display}`, WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1', WEBKIT_DISABLE_COMPOSITING_MODE: '1' };
  children.push(spawn('broadwayd', [`:${display}`, '--port', String(broadwayPort), '--address', '127.0.0.1'], { env, stdio: 'ignore' }));
  children.push(spawn('WebKitWebDriver', [`--port=${driverPort}`, '--host=127.0.0.1'], { env, stdio: 'ignore' }));
  const call = async (method, path, body) => {
    const answer = await fetch(`http://127.0.0.1:${driverPort}${path}`, { method, body: body && JSON.stringify(body) });
    const { value } = await answer.json();
    if (!answer.ok) throw new Error(`${path}: ${value.message}`);
    return value;
  };
  const options = { binary: MINI_BROWSER, args: ['--automation'] };
  const { sessionId } = await eventually(() => call('POST', '/session', { capabilities: { alwaysMatch: { browserName: 'MiniBrowser', 'webkitgtk:browserOptions': options } } }));
  const run = (script) => call('POST', `/session/${sessionId}/execute/sync`, { script, args: [] });
  return { run, goto: (url) => call('POST', `/session/${sessionId}/url`, { url }), close: () => call('DELETE', `/session/${sessionId}`) };
}

/** Tries until it works, for 15 s. */
async function eventually(attempt) {
  const deadline = Date.now() + 15_000;
  for (;;) {
    try {
      const value = await attempt();
      if (value) return value;
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
    if (Date.now() > deadline) throw new Error(`not within 15 s: ${attempt}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

test('WebKitGTK: the page runs, and says that this browser cannot connect', { skip: installed ? false : 'webkit2gtk-driver is not installed' }, async () => {
  const server = await Server.start();
  const webkit = await openWebKit();
  try {
    await webkit.goto(server.origin);
    await eventually(() => webkit.run('return document.querySelector("#langs button") !== null'));
    const [transport, peer] = await webkit.run('return [typeof WebTransport, typeof RTCPeerConnection]');
    console.log(`# WebKitGTK: WebTransport ${transport}, RTCPeerConnection ${peer}`);
    await webkit.run('document.getElementById("adult").click(); document.querySelector("#start button[value=text]").click();');
    const phase = await eventually(() => webkit.run('return document.body.dataset.phase === "searching" ? "" : document.body.dataset.phase'));
    assert.equal(phase, 'problem');
    assert.equal(await webkit.run('return document.getElementById("status-title").textContent'), 'This browser cannot connect.');
  } finally {
    await webkit.close();
    await server.stop();
  }
});
