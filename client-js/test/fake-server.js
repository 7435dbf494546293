// A server of PROTOCOL.md in memory, with doubles of WebTransport and WebSocket as its fronts. For tests: it can tamper, cut, drain and close.

import { fakeWebSocket, fakeWebTransport } from './fake-fronts.js';
import { decodeJson, encodeFrame, encodeJson, encodeRelayed, FrameType as T } from '../src/frames.js';

/** @typedef {{chat: number, role: string, mode: string, people: Person[]}} FakeChat */
/** @typedef {(from: Person, type: number, opaque: Uint8Array) => Uint8Array[]} Tamper */

/** @typedef {import('./fake-fronts.js').Pipe} Pipe */

class Person {
  /** @type {Pipe|null} */ pipe = null;
  /** @type {any} */ want = null;
  /** @type {FakeChat|null} */ chat = null;
  /** @type {object[]} */ reports = [];
  token = '';
  n = 0;
  blocked = new Set();
  /** @param {FakeServer} server */
  constructor(server) {
    this.server = server;
  }
  /** @returns {Person|null} */
  get other() {
    const other = this.chat?.people.find((one) => one !== this);
    return other ?? null;
  }
  /** @param {number} type @param {object} value */
  tell(type, value) {
    this.pipe?.write(encodeJson(type, value));
  }
}

export class FakeServer {
  /** @type {Person[]} */ people = [];
  /** @type {{type: number, opaque: Uint8Array, from: Person}[]} */ relayed = [];
  /** @type {Tamper} */ tamper = (_from, _type, opaque) => [opaque];
  /** @type {{code: number, reason: string}|null} */ refuse = null;
  state = 'open';
  reachable = true;
  /** What becomes of a WebTransport session: it opens, gets no answer (a network without UDP), or fails at once. @type {'open'|'silent'|'failing'} */
  udp = 'open';
  /** Whether the fallback is served, and how long a socket takes to open. */
  webSocket = false;
  webSocketMs = 0;
  /** What client-config.json says beside. */
  says = {};
  /** A challenge that a HELLO without this proof is refused with. @type {{challenge: unknown, proof: string}|null} */
  work = null;
  /** Reads, and never answers. */
  silent = false;
  /** WebTransport sessions and WebSockets that were tried. */
  sessions = 0;
  sockets = 0;
  /** Those given up or closed by the client. */
  closedByClient = 0;
  /** @type {number[]} */ types = [];
  #nextChat = 0xfffffff0;
  #tokens = 0;

  get options() {
    return { site: 'http://site.test', WebTransport: fakeWebTransport(this), WebSocket: fakeWebSocket(this), fetch: this.fetch, random: () => 0 };
  }

  fetch = /** @type {any} */ (async () => {
    if (!this.reachable) throw new TypeError('fetch failed');
    const websocket = this.webSocket ? { websocket: { url: 'wss://server.test/v1' } } : {};
    const webtransport = { url: 'https://server.test/v1', serverCertificateHashes: ['AAAA'] };
    return { ok: true, json: async () => ({ protocol: 1, online: 2, state: this.state, webtransport, ...websocket, ...this.says }) };
  });

  /** The people, in the order in which they said HELLO. @param {number} index */
  person(index) {
    return this.people[index];
  }

  /** @param {Person} person */
  cut(person) {
    const { pipe } = person;
    pipe?.cut();
    if (pipe) this.gone(pipe);
  }

  /** Everything is forgotten, as when the process starts again. */
  restart() {
    const people = this.people.splice(0);
    for (const person of people) person.pipe?.cut();
  }

  /** @param {Pipe} pipe @param {Uint8Array} bytes */
  bytes(pipe, bytes) {
    if (!pipe.open) throw new Error('closed');
    for (const { type, payload } of pipe.reader.push(bytes)) {
      this.types.push(type);
      if (this.silent) continue;
      if (type === T.HELLO) this.#hello(pipe, decodeJson(payload));
      else if (!pipe.person) pipe.close(1, 'the first frame has to be HELLO');
      else this.#frame(pipe.person, type, payload);
    }
  }

  /** @param {Pipe} pipe @param {any} hello */
  #hello(pipe, hello) {
    if (this.work && hello.work !== this.work.proof) return pipe.close(3, JSON.stringify({ message: 'Prove it.', retry_after_ms: 1000, work: this.work.challenge }));
    const old = this.people.find((one) => one.token === hello.resume);
    const person = old ?? new Person(this);
    if (!old) this.people.push(person);
    const replaced = person.pipe;
    pipe.person = person;
    person.pipe = pipe;
    person.token = `token${++this.#tokens}`;
    person.want = null;
    replaced?.close(0, '');
    let chat = null;
    if (person.chat) {
      const before = person.chat.chat;
      person.chat.chat = this.#number();
      const away = person.other?.pipe === null;
      chat = { ...describe(person), stranger: away ? 'away' : 'here', ice: [] };
      person.other?.tell(T.PEER, { chat: before, state: 'back', new_chat: person.chat.chat });
    }
    person.tell(T.WELCOME, { session: person.token, resumed: old !== undefined, resume_s: 60, online: 2, chat });
  }

  /** @param {Person} person @param {number} type @param {Uint8Array} payload */
  #frame(person, type, payload) {
    if (type === T.FIND) this.#find(person, decodeJson(payload));
    else if (type === T.LEAVE) this.#end(person);
    else if (type === T.BLOCK) this.#end(person);
    else if (type === T.REPORT) {
      person.reports.push(decodeJson(payload));
      this.#end(person);
    } else if (type === T.SIGNAL || type === T.TEXT) this.#relay(person, type, payload);
  }

  /** @param {Person} person @param {any} find */
  #find(person, find) {
    this.#end(person);
    person.want = find;
    person.n = find.n;
    const other = this.people.find((one) => one !== person && one.pipe && one.want?.mode === find.mode);
    if (!other) return person.tell(T.WAITING, { n: find.n, online: 2, estimate_ms: null });
    this.pair(other, person, find.mode);
  }

  /** @param {Person} offerer @param {Person} answerer @param {string} mode */
  pair(offerer, answerer, mode) {
    const chat = { chat: this.#number(), role: '', mode, people: [offerer, answerer] };
    for (const person of chat.people) {
      person.chat = chat;
      const shared = (person.want?.interests ?? []).filter((/** @type {string} */ one) => person.other?.want?.interests?.includes(one));
      person.tell(T.MATCHED, { n: person.n, ...describe(person), shared, ice: [] });
    }
    for (const person of chat.people) person.want = null;
  }

  /** @param {Person} person */
  #end(person) {
    person.want = null;
    const { other, chat } = person;
    person.chat = null;
    if (!other || !chat) return;
    other.chat = null;
    other.tell(T.ENDED, { chat: chat.chat, why: 'left' });
  }

  /** @param {Person} person @param {number} type @param {Uint8Array} payload */
  #relay(person, type, payload) {
    const number = new DataView(payload.buffer, payload.byteOffset).getUint32(0);
    if (person.chat?.chat !== number || !person.other?.pipe) return;
    const opaque = payload.slice(4);
    this.relayed.push({ type, opaque, from: person });
    for (const out of this.tamper(person, type, opaque)) this.inject(person.other, type, out);
  }

  /** Sends a relayed frame that looks as if the stranger had sent it. @param {Person} to @param {number} type @param {Uint8Array} opaque */
  inject(to, type, opaque) {
    if (to.chat) to.pipe?.write(encodeRelayed(type, to.chat.chat, opaque));
  }

  /** Changes the chat number of one person's chat, as if the stranger had resumed. @param {Person} person */
  forceResume(person) {
    if (!person.chat) return;
    const before = person.chat.chat;
    const number = this.#number();
    person.chat = { ...person.chat, chat: number };
    person.tell(T.PEER, { chat: before, state: 'back', new_chat: number });
  }

  /** @param {Pipe} pipe */
  gone(pipe) {
    const { person } = pipe;
    if (person?.pipe !== pipe) return;
    person.pipe = null;
    person.want = null;
    if (person.chat) person.other?.tell(T.PEER, { chat: person.chat.chat, state: 'away' });
  }

  #number() {
    this.#nextChat = (this.#nextChat + 7) >>> 0;
    return this.#nextChat;
  }

  /** @param {Person} person @param {number} type */
  sendEmpty(person, type) {
    person.pipe?.write(encodeFrame(type));
  }
}

/** @param {Person} person */
function describe(person) {
  const { chat } = person;
  return { chat: chat?.chat, role: chat?.people.findIndex((one) => one === person) === 0 ? 'offerer' : 'answerer', mode: chat?.mode };
}
