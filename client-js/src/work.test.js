// Proof of work: the published vectors, and a server that asks for it.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { FakeServer } from '../test/fake-server.js';
import { people, until } from '../test/people.js';
import { readChallenge, Search } from './work-search.js';
import { prove } from './work.js';

const vectors = JSON.parse(readFileSync(new URL('../../docs/vectors/work.json', import.meta.url), 'utf8'));
const noWorkers = () => {
  throw new Error('none here');
};

/** A worker that answers, or fails, as told. @param {(challenge: string) => string|Error|null} answer */
const workerThat = (answer) => {
  const worker = Object.assign(new EventTarget(), {
    ended: false,
    postMessage: (/** @type {string} */ challenge) => queueMicrotask(() => {
      const said = answer(challenge);
      if (said !== null) worker.dispatchEvent(said instanceof Error ? new Event('error') : new MessageEvent('message', { data: said }));
    }),
    terminate: () => (worker.ended = true),
  });
  return worker;
};

test('the published vectors: the smallest numbers, in the published form', async () => {
  for (const { challenge, proof } of vectors.solved) {
    assert.equal(new Search(challenge).step(Infinity), proof);
    assert.equal(await prove(challenge, undefined, noWorkers), proof, 'also without workers');
  }
});

test('hashes are those of SHA-256, whatever the length of the challenge', () => {
  for (let length = 1; length <= 40; length += 1) {
    const challenge = `1.8.${'x'.repeat(length)}`;
    const proof = new Search(challenge).step(Infinity) ?? '';
    const number = Buffer.from(proof.slice(challenge.length + 1), 'base64url');
    assert.equal(createHash('sha256').update(challenge).update(number).digest()[0], 0, challenge);
  }
});

test('a search goes on where it stopped', () => {
  const { challenge, proof } = vectors.solved[0];
  const search = new Search(challenge);
  let steps = 0;
  let found = null;
  for (; found === null; steps += 1) found = search.step(10);
  assert.equal(found, proof);
  assert.ok(steps > 1);
});

test('a challenge of another kind, or of absurd size, is not tried', async () => {
  for (const challenge of [undefined, null, 7, {}, '', 'scrypt:abc', '0.8.x', '1.0.x', '01.8.x', '1.8.', '1.8.ä', '1.99.x', '9999.20.x', `1.8.${'x'.repeat(60)}`]) {
    assert.equal(readChallenge(challenge), null, String(challenge));
    await assert.rejects(prove(challenge), { code: 'unknown_work' });
  }
});

test('a worker does it; one that fails leaves it to the page; leaving ends it', async () => {
  const { challenge, proof } = vectors.solved[0];
  const good = workerThat(() => 'from the worker');
  assert.equal(await prove(challenge, undefined, () => /** @type {any} */ (good)), 'from the worker');
  const broken = workerThat(() => new Error('blocked'));
  assert.equal(await prove(challenge, undefined, () => /** @type {any} */ (broken)), proof);
  const slow = workerThat(() => null);
  const leave = new AbortController();
  const proving = prove(challenge, leave.signal, () => /** @type {any} */ (slow));
  leave.abort();
  await assert.rejects(proving, { code: 'aborted' });
  assert.deepEqual([good.ended, broken.ended, slow.ended], [true, true, true]);
});

test('without workers the page can go on meanwhile, and leaving ends the search', async () => {
  const leave = new AbortController();
  const proving = prove('64.19.never', leave.signal, noWorkers);
  let turns = 0;
  const turning = setInterval(() => (turns += 1), 1);
  await until(() => turns > 3);
  leave.abort();
  await assert.rejects(proving, { code: 'aborted' });
  clearInterval(turning);
});

test('a server that asks for work: it is told, done, and the search goes on', async () => {
  const server = new FakeServer();
  const [{ challenge, proof }] = vectors.solved;
  server.work = { challenge, proof };
  const [ann] = people(server, 1);
  ann.cam.find({ mode: 'text' });
  await until(() => ann.last('waiting'));
  assert.deepEqual(ann.all('connection').map(({ state }) => state), ['reconnecting', 'proving', 'up']);
  assert.equal(ann.all('error').length, 0);
  // A proof is good for one session.
  server.work = { challenge: vectors.solved[1].challenge, proof: vectors.solved[1].proof };
  server.restart();
  await until(() => ann.all('waiting').length === 2);
});

test('a server that is never satisfied: after a few proofs this person waits', async () => {
  const server = new FakeServer();
  server.work = { challenge: vectors.solved[0].challenge, proof: 'another' };
  const [ann] = people(server, 1);
  await assert.rejects(ann.cam.find({ mode: 'text' }), { code: 'rate_limited', retryAfterMs: 1000 });
  assert.equal(server.sessions, 4);
});

test('a kind of work that this client does not know is said', async () => {
  const server = new FakeServer();
  server.work = { challenge: 'argon2id:…', proof: '' };
  const [ann] = people(server, 1);
  await assert.rejects(ann.cam.find({ mode: 'text' }), { code: 'unknown_work' });
});

test('who stops searching stops working', async () => {
  const server = new FakeServer();
  server.work = { challenge: '64.19.never', proof: '' };
  const [ann] = people(server, 1);
  ann.cam.find({ mode: 'text' });
  await until(() => ann.last('connection')?.state === 'proving');
  await until(() => server.sessions === 1);
  ann.cam.leave();
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(ann.cam.state, 'idle');
  assert.equal(ann.all('error').length, 0);
});
