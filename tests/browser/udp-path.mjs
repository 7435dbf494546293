// A path through which a browser's datagrams reach the server: it can be slow, and it can be cut.

import { createSocket } from 'node:dgram';

export class UdpPath {
  /** One way, in milliseconds. */
  delayMs = 0;
  /** Nothing passes. */
  isCut = false;
  #behind = new Map();

  /** @param {number} port where browsers send @param {number} serverPort */
  static open(port, serverPort) {
    const path = new UdpPath();
    path.port = port;
    path.socket = createSocket('udp4');
    path.socket.on('message', (datagram, from) => path.#pass(() => path.#towardsServer(from, serverPort).send(datagram)));
    return new Promise((resolve) => path.socket.bind(port, '127.0.0.1', () => resolve(path)));
  }

  #towardsServer(from, serverPort) {
    const key = `${from.port}`;
    let behind = this.#behind.get(key);
    if (!behind) {
      const socket = createSocket('udp4');
      socket.on('message', (datagram) => this.#pass(() => this.socket.send(datagram, from.port, from.address)));
      socket.on('error', () => {});
      behind = { send: (datagram) => socket.send(datagram, serverPort, '127.0.0.1'), close: () => socket.close() };
      this.#behind.set(key, behind);
    }
    return behind;
  }

  #pass(send) {
    if (this.isCut) return;
    if (this.delayMs === 0) send();
    else setTimeout(() => this.closed || send(), this.delayMs);
  }

  /** From now on everybody comes from another address, and answers to the old ones are lost: they have changed their network. */
  rebind() {
    for (const behind of this.#behind.values()) behind.close();
    this.#behind.clear();
  }

  close() {
    this.closed = true;
    this.socket.close();
    for (const behind of this.#behind.values()) behind.close();
  }
}
