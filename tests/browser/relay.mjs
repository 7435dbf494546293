// A relay for tests: coturn with the configuration of deploy/, on a port of loopback.

import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freeUdpPort } from './server.mjs';

const DEPLOYED = readFileSync(fileURLToPath(new URL('../../deploy/relay/turnserver.conf', import.meta.url)), 'utf8');

export class Relay {
  folder = mkdtempSync(join(tmpdir(), 'anoncam-relay-'));

  /** @param {{secret: string}} options */
  static async start({ secret }) {
    const relay = new Relay();
    relay.port = await freeUdpPort();
    relay.secretFile = join(relay.folder, 'secret');
    writeFileSync(relay.secretFile, secret, { mode: 0o600 });
    const config = join(relay.folder, 'turnserver.conf');
    // What an operator fills in; and two people on loopback, where the deployed relay would not go, meet at its own address.
    const own = `listening-ip=127.0.0.1\nrelay-ip=127.0.0.1\nstatic-auth-secret=${secret}\nallow-loopback-peers\nallowed-peer-ip=127.0.0.1\n`;
    const moved = DEPLOYED.replaceAll('/run/anoncam-relay', relay.folder).replace('listening-port=3478', `listening-port=${relay.port}`);
    writeFileSync(config, moved + own, { mode: 0o600 });
    relay.process = spawn('turnserver', ['-c', config], { stdio: 'ignore' });
    const ended = new Promise((_, reject) => relay.process.once('exit', (code) => reject(new Error(`coturn ended with ${code}`))));
    await Promise.race([answersStun(relay.port), ended]);
    return relay;
  }

  stop() {
    this.process.kill('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Waits until a relay answers a STUN binding request (RFC 8489, section 6). @param {number} port */
async function answersStun(port) {
  const socket = createSocket('udp4');
  const request = Buffer.from('000100002112a442616e6f6e63616d2d74657374', 'hex');
  const answered = new Promise((resolve) => socket.once('message', resolve));
  const asking = setInterval(() => socket.send(request, port, '127.0.0.1'), 50);
  socket.on('error', () => {});
  await answered;
  clearInterval(asking);
  socket.close();
}
