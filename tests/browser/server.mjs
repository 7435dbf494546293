// The server program for tests: started on free ports, restarted on the same ones, stopped with its test.

import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { servePage } from './page-server.mjs';

export const BINARY = process.env.ANONCAM_BIN ?? fileURLToPath(new URL('../../target/release/anoncam', import.meta.url));
const START_TIMEOUT_MS = 60_000;
/** The page as it is on disk instead of the one inside the binary: quicker while working on the page. */
const PAGE_FROM_DISK = process.env.PAGE_FROM_DISK === '1';

export class Server {
  /** @type {import('node:child_process').ChildProcess|null} */
  #process = null;
  #output = '';

  /** Starts a server. @param {Record<string, string>} [settings] as environment variables */
  static async start(settings = {}) {
    if (!existsSync(BINARY)) throw new Error(`${BINARY} is not there: cargo build --release, or name it in ANONCAM_BIN`);
    const server = new Server();
    server.udpPort = await freeUdpPort();
    server.sitePort = await freeTcpPort();
    server.settings = { ...settings };
    if (PAGE_FROM_DISK) {
      server.page = await servePage(0, server.binaryOrigin);
      server.settings.ANONCAM_ORIGINS = server.page.origin;
    }
    await server.up();
    return server;
  }

  /** Address of the site. */
  get origin() {
    return this.page?.origin ?? this.binaryOrigin;
  }

  get binaryOrigin() {
    return `http://localhost:${this.sitePort}`;
  }

  /** What it printed. */
  get output() {
    return this.#output;
  }

  /** Starts the process, on the ports it had before if it had any. */
  async up() {
    const child = spawn(BINARY, ['--listen', `127.0.0.1:${this.udpPort}`, '--site', `127.0.0.1:${this.sitePort}`], {
      stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...this.settings },
    });
    this.#process = child;
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => void (this.#output = (this.#output + text).slice(-10_000)));
    const deadline = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      const answer = await fetch(`${this.binaryOrigin}/client-config.json`).catch(() => null);
      if (answer?.ok) return;
      if (child.exitCode !== null || Date.now() > deadline) throw new Error(`the server did not start:\n${this.#output}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Ends the process and what belongs to it. */
  async stop() {
    await this.down();
    this.page?.close();
  }

  /** Ends the process: `SIGKILL` as in a crash, `SIGTERM` as in an upgrade. @param {NodeJS.Signals} [signal] */
  async down(signal = 'SIGKILL') {
    const child = this.#process;
    this.#process = null;
    if (!child || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
  }

  /** Asks the process to leave, without waiting for it. */
  drain() {
    this.#process?.kill('SIGTERM');
  }
}

/** @returns {Promise<number>} */
export const freeTcpPort = () => new Promise((resolve) => {
  const probe = createServer().listen(0, '127.0.0.1', () => {
    const { port } = probe.address();
    probe.close(() => resolve(port));
  });
});

/** @returns {Promise<number>} */
export const freeUdpPort = () => new Promise((resolve) => {
  const probe = createSocket('udp4').bind(0, '127.0.0.1', () => {
    const { port } = probe.address();
    probe.close(() => resolve(port));
  });
});
