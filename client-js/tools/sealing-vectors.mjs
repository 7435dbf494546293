// Writes docs/vectors/sealing.json: golden vectors for PROTOCOL.md section 7, from fixed keys. It shares no code with src/sealing.js
// (node:crypto instead of WebCrypto), so that the two check each other. Run: node tools/sealing-vectors.mjs > ../docs/vectors/sealing.json

import { createCipheriv, createECDH, createHash, hkdfSync } from 'node:crypto';

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest();
const hkdf = (ikm, salt, info) => Buffer.from(hkdfSync('sha256', ikm, salt, info, 32));
const hex = (bytes) => Buffer.from(bytes).toString('hex');

const CHAT = 0x01020304;
const NEW_CHAT = 0xfffefdfc;

function person(name) {
  const ecdh = createECDH('prime256v1');
  ecdh.setPrivateKey(sha256(`anoncam test key of the ${name}`));
  return {
    ecdh,
    nonce: sha256(`anoncam test nonce of the ${name}`).subarray(0, 16),
    renewNonce: sha256(`anoncam test renew of the ${name}`).subarray(0, 16),
  };
}

function seal(key, type, chat, counter, json) {
  const length = Buffer.byteLength(json);
  const plain = Buffer.alloc(Math.ceil(length / 256) * 256, ' ');
  plain.write(json);
  const head = Buffer.alloc(9);
  head[0] = 1;
  head.writeBigUInt64BE(BigInt(counter), 1);
  const where = Buffer.alloc(5);
  where[0] = type;
  where.writeUInt32BE(chat, 1);
  const cipher = createCipheriv('aes-256-gcm', key, Buffer.concat([Buffer.alloc(4), head.subarray(1)]));
  cipher.setAAD(Buffer.concat([where, head]));
  return Buffer.concat([head, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

const offerer = person('offerer');
const answerer = person('answerer');
const reveal = (who) => Buffer.from(JSON.stringify({ kind: 'reveal', key: who.ecdh.getPublicKey('base64url'), nonce: who.nonce.toString('base64url') }));
const renew = (who) => Buffer.from(JSON.stringify({ kind: 'renew', nonce: who.renewNonce.toString('base64url') }));

const offererReveal = reveal(offerer);
const answererReveal = reveal(answerer);
const commit = Buffer.from(JSON.stringify({ kind: 'commit', hash: sha256(offererReveal).toString('base64url') }));
const secret = offerer.ecdh.computeSecret(answerer.ecdh.getPublicKey());
const transcript = sha256(commit, answererReveal, offererReveal);
const root = hkdf(secret, transcript, 'anoncam v1 root');
const keys = (salt) => ({ offerer: hkdf(root, salt, 'anoncam v1 offerer'), answerer: hkdf(root, salt, 'anoncam v1 answerer') });
const first = keys(Buffer.alloc(0));
const renewed = keys(sha256(renew(offerer), renew(answerer)));
const bits = sha256('anoncam v1 code', transcript).readUInt32BE(0);

const say = (kind, rest) => JSON.stringify({ kind, ...rest });
const long = say('message', { id: 2, text: 'é'.repeat(200) });
const exact = say('message', { id: 3, text: 'x'.repeat(256 - say('message', { id: 3, text: '' }).length) });
const sealed = [
  ['offerer', 0x82, CHAT, 0, say('message', { id: 1, text: 'hello' })],
  ['offerer', 0x81, CHAT, 1, say('candidate', { candidate: null })],
  ['offerer', 0x82, CHAT, 2, long],
  ['offerer', 0x82, CHAT, 3, exact],
  ['answerer', 0x82, CHAT, 0, say('ack', { id: 1 })],
  ['answerer', 0x82, CHAT, 1, say('typing', { on: true })],
];
const after = [
  ['offerer', 0x82, NEW_CHAT, 0, say('message', { id: 1, text: 'hello' })],
  ['answerer', 0x82, NEW_CHAT, 0, say('ack', { id: 1 })],
];
const frames = (list, by) => list.map(([sender, type, chat, counter, plaintext]) => ({
  sender, type, chat, counter, plaintext, bytes: hex(seal(by[sender], type, chat, counter, plaintext)),
}));

console.log(JSON.stringify({
  about: 'Golden vectors for sealing (PROTOCOL.md section 7). Bytes are hexadecimal; clear frames are the exact text. Plaintexts are shown before padding. Made by client-js/tools/sealing-vectors.mjs.',
  chat: CHAT,
  offerer: { private_key: hex(offerer.ecdh.getPrivateKey()), public_key: hex(offerer.ecdh.getPublicKey()), nonce: hex(offerer.nonce), renew_nonce: hex(offerer.renewNonce) },
  answerer: { private_key: hex(answerer.ecdh.getPrivateKey()), public_key: hex(answerer.ecdh.getPublicKey()), nonce: hex(answerer.nonce), renew_nonce: hex(answerer.renewNonce) },
  commit: commit.toString(),
  answerer_reveal: answererReveal.toString(),
  offerer_reveal: offererReveal.toString(),
  shared_secret: hex(secret),
  transcript: hex(transcript),
  root: hex(root),
  keys: { offerer: hex(first.offerer), answerer: hex(first.answerer) },
  code: [26, 20, 14, 8, 2].map((shift) => (bits >>> shift) & 63),
  sealed: frames(sealed, first),
  after_resume: {
    chat: NEW_CHAT,
    offerer_renew: renew(offerer).toString(),
    answerer_renew: renew(answerer).toString(),
    keys: { offerer: hex(renewed.offerer), answerer: hex(renewed.answerer) },
    sealed: frames(after, renewed),
  },
}, null, 2));
