import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameType as T } from './frames.js';
import { AnonCam, AnonCamError } from './index.js';
import { FakeServer } from '../test/fake-server.js';
import { people, talk, until } from '../test/people.js';

test('two people are paired and talk, and no RTCPeerConnection is made for text', async () => {
  const server = new FakeServer();
  const [ann, ben] = await talk(server, { interests: ['music'] });
  assert.deepEqual(ann.last('matched'), { mode: 'text', shared: ['music'] });
  await until(() => ann.last('secure') && ben.last('secure'));
  assert.deepEqual(ann.last('secure'), ben.last('secure'));
  assert.deepEqual(ann.cam.safetyCode, ben.cam.safetyCode);
  ann.cam.typing(true);
  await until(() => ben.last('typing')?.on === true);
  const id = ann.cam.sendText('hello <b>');
  await until(() => ann.last('delivered')?.id === id);
  assert.deepEqual(ben.last('message'), { id, text: 'hello <b>' });
  await until(() => ben.last('typing')?.on === false);
  assert.equal(ann.connections + ben.connections, 0);
});

test('FIND goes out with HELLO, without waiting', async () => {
  const server = new FakeServer();
  server.silent = true;
  const [ann] = people(server, 1);
  ann.cam.find({ mode: 'text' });
  await until(() => server.types.length === 2);
  assert.deepEqual(server.types, [T.HELLO, T.FIND]);
  ann.cam.close();
});

test('next is one frame, and answers to an old search are ignored', async () => {
  const server = new FakeServer();
  const [ann, ben] = await talk(server);
  server.types.length = 0;
  const found = ann.cam.next();
  await until(() => ben.last('ended'));
  assert.deepEqual(ben.last('ended'), { why: 'left' });
  assert.deepEqual(server.types.filter((type) => type < 0x80), [T.FIND]);
  server.person(0).tell(T.MATCHED, { n: 1, chat: 5, role: 'offerer', mode: 'text', shared: [], ice: [] });
  ben.cam.next();
  await found;
  assert.equal(ann.all('matched').length, 2);
  assert.equal(ann.all('warning').length, 0);
});

test('a search is cancelled by its signal', async () => {
  const server = new FakeServer();
  const [ann] = people(server, 1);
  const cancel = new AbortController();
  const found = ann.cam.find({ mode: 'text', signal: cancel.signal });
  await until(() => ann.last('waiting'));
  cancel.abort();
  await assert.rejects(found, (error) => error instanceof AnonCamError && error.code === 'aborted');
  await until(() => server.types.includes(T.LEAVE));
  assert.equal(ann.cam.state, 'idle');
});

test('a report ends the chat, carries its case code, and works for a minute after the end', async () => {
  const server = new FakeServer();
  const [ann, ben] = await talk(server);
  const code = ann.cam.report('spam');
  assert.match(code, /^[2-9A-Z]{3}-[2-9A-Z]{3}$/);
  await until(() => ben.last('ended'));
  assert.deepEqual(server.person(0).reports, [{ reason: 'spam', case: code }]);
  assert.equal(ann.cam.state, 'idle');
  assert.ok(ben.cam.canReport, 'the one who was left can report, too');
  ben.cam.report('other');
  assert.throws(() => ben.cam.report('other'), (error) => error instanceof AnonCamError && error.code === 'no_stranger');
});

test('messages that do not fit are refused by the sender', async () => {
  const server = new FakeServer();
  const [ann, ben] = await talk(server);
  await until(() => ann.last('secure'));
  for (const text of ['x'.repeat(2001), '\u0001'.repeat(1500)]) {
    assert.throws(() => ann.cam.sendText(text), (error) => error instanceof AnonCamError && error.code === 'text_too_long');
  }
  ann.cam.sendText('€'.repeat(2000));
  await until(() => ben.last('message'));
  assert.equal(ben.last('message').text.length, 2000);
});

for (const loser of [0, 1]) {
  test(`a connection is lost and comes back (${['offerer', 'answerer'][loser]}): new keys, nothing lost, nothing twice`, async () => {
    const server = new FakeServer();
    const pair = await talk(server);
    const [ann, ben] = pair;
    await until(() => ann.last('secure') && ben.last('secure'));
    const code = ann.cam.safetyCode;
    // Acks towards the one who is cut are lost, so messages have to be sent again and shown once.
    server.tamper = (from, _type, opaque) => (from === server.person(1 - loser) ? [] : [opaque]);
    pair[loser].cam.sendText('before');
    await until(() => pair[1 - loser].last('message')?.text === 'before');
    server.tamper = (_from, _type, opaque) => [opaque];
    server.reachable = false;
    server.cut(server.person(loser));
    await until(() => pair[loser].last('connection').state === 'reconnecting' && pair[1 - loser].last('stranger')?.state === 'away');
    pair[loser].cam.sendText('while away');
    pair[1 - loser].cam.sendText('to the one away');
    server.reachable = true;
    await until(() => ann.all('delivered').length + ben.all('delivered').length === 3);
    assert.deepEqual(pair[1 - loser].all('message').map(({ text }) => text), ['before', 'while away']);
    assert.deepEqual(pair[loser].all('message').map(({ text }) => text), ['to the one away']);
    assert.equal(pair[1 - loser].last('stranger').state, 'back');
    assert.deepEqual(ann.last('secure').code, code);
    assert.equal(ann.all('secure').length, 2);
    assert.equal(ann.all('warning').length + ben.all('warning').length, 0);
  });
}

test('both connections are lost, twice', async () => {
  const server = new FakeServer();
  const [ann, ben] = await talk(server);
  await until(() => ann.last('secure') && ben.last('secure'));
  for (let round = 1; round <= 2; round += 1) {
    server.cut(server.person(0));
    server.cut(server.person(1));
    ann.cam.sendText(`ann ${round}`);
    ben.cam.sendText(`ben ${round}`);
    await until(() => ann.all('delivered').length === round && ben.all('delivered').length === round);
  }
  assert.deepEqual(ben.all('message').map(({ text }) => text), ['ann 1', 'ann 2']);
  assert.equal(ann.all('warning').length + ben.all('warning').length, 0);
});

test('a stranger who is away and wakes on the same connection goes on with the same keys', async () => {
  const server = new FakeServer();
  const [ann, ben] = await talk(server);
  await until(() => ann.last('secure') && ben.last('secure'));
  const chat = server.person(0).chat?.chat;
  server.person(0).tell(T.PEER, { chat, state: 'away' });
  await until(() => ann.last('stranger'));
  server.relayed.length = 0;
  ann.cam.sendText('held');
  ann.cam.typing(true);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(server.relayed.length, 0, 'what the server would drop is not sent');
  server.person(0).tell(T.PEER, { chat, state: 'back' });
  await until(() => ann.last('delivered'));
  assert.deepEqual(ben.all('message').map(({ text }) => text), ['held']);
  assert.equal(ann.all('secure').length, 1);
});

test('the connection breaks before keys are agreed on: the agreement starts again, or the chat ends without a warning', async () => {
  for (const dropped of [1, 2, 3]) {
    const server = new FakeServer();
    let seen = 0;
    server.tamper = (_from, _type, opaque) => {
      seen += 1;
      if (seen !== dropped) return [opaque];
      queueMicrotask(() => server.cut(server.person(0)));
      return [];
    };
    const [ann, ben] = await talk(server);
    await until(() => (ann.last('secure') && ben.last('secure')) || (ann.last('ended') && ben.last('ended')));
    assert.equal(ann.all('warning').length + ben.all('warning').length, 0);
    if (!ann.last('ended')) {
      ann.cam.sendText('hi');
      await until(() => ben.last('message'));
    }
  }
});

test('a search goes on after the connection was lost, also on a server that was restarted', async () => {
  for (const restart of [false, true]) {
    const server = new FakeServer();
    const [ann, ben] = people(server, 2);
    ann.cam.find({ mode: 'text' });
    await until(() => ann.last('waiting'));
    if (restart) server.restart();
    else server.cut(server.person(0));
    await until(() => ann.all('waiting').length === 2);
    ben.cam.find({ mode: 'text' });
    await until(() => ann.last('secure') && ben.last('secure'));
  }
});

test('a server that was restarted has lost the chat: it ends, and next works', async () => {
  const server = new FakeServer();
  const [ann, ben] = await talk(server);
  await until(() => ann.last('secure') && ben.last('secure'));
  server.restart();
  await until(() => ann.last('ended') && ben.last('ended'));
  assert.deepEqual([ann.last('ended').why, ben.last('ended').why], ['lost', 'lost']);
  ann.cam.next();
  ben.cam.next();
  await until(() => ann.all('secure').length === 2 && ben.all('secure').length === 2);
});

test('each close code becomes an error that says what to do', async () => {
  const reason = JSON.stringify({ message: 'Come back later.', retry_after_ms: 1500 });
  for (const [code, name] of /** @type {[number, string][]} */ ([[3, 'rate_limited'], [4, 'banned'], [1, 'protocol'], [8, 'full']])) {
    const server = new FakeServer();
    server.refuse = { code, reason };
    const [ann] = people(server, 1);
    await assert.rejects(ann.cam.find({ mode: 'text' }), (error) => {
      assert.ok(error instanceof AnonCamError);
      assert.equal(error.code, name);
      assert.equal(error.retryAfterMs, code === 1 ? undefined : 1500);
      return error.message.length > 10;
    });
    assert.equal(ann.last('error').error.code, name);
    assert.equal(ann.cam.state, 'idle');
  }
});

test('every way not to reach a server is its own error', async () => {
  const server = new FakeServer();
  const [ann, ben, cleo] = people(server, 3);
  server.state = 'full';
  await assert.rejects(ann.cam.find({ mode: 'text' }), (error) => error instanceof AnonCamError && error.code === 'full');
  server.state = 'open';
  server.reachable = false;
  await assert.rejects(ben.cam.find({ mode: 'text' }), (error) => error instanceof AnonCamError && error.code === 'site');
  server.reachable = true;
  const blocked = server.options.fetch;
  server.fetch = async (/** @type {any[]} */ ...args) => {
    const answer = await blocked(...args);
    server.reachable = false;
    return answer;
  };
  const [dora] = people(server, 1);
  await assert.rejects(dora.cam.find({ mode: 'text' }), (error) => error instanceof AnonCamError && error.code === 'unreachable');
  server.reachable = true;
  server.fetch = blocked;
  const old = new AnonCam({ ...server.options, WebTransport: undefined });
  await assert.rejects(old.connect(), (error) => error instanceof AnonCamError && error.code === 'unsupported');
  cleo.cam.close();
  assert.throws(() => cleo.cam.find({ mode: 'text' }), (error) => error instanceof AnonCamError && error.code === 'closed');
});

test('what the operator has paused is told: before connecting, at once, and to who waits', async () => {
  const server = new FakeServer();
  const [ann, ben] = people(server, 2);
  server.says = { paused: ['video'], message: 'Back at 10 UTC', policy_changed: '2026-11-28', policy_notice: 'Reports are kept for a day.' };
  ann.cam.find({ mode: 'text' });
  await until(() => ann.last('waiting'));
  assert.deepEqual(ann.last('site'), { online: 2, state: 'open', paused: ['video'], message: 'Back at 10 UTC', policyChanged: '2026-11-28', policyNotice: 'Reports are kept for a day.' });
  server.person(0).tell(T.NOTICE, { code: 'paused', message: 'Text is paused.', retry_after_ms: 60_000 });
  await until(() => ann.last('error'));
  const { code, reason, retryAfterMs } = ann.last('error').error;
  assert.deepEqual({ code, reason, retryAfterMs }, { code: 'paused', reason: 'text', retryAfterMs: 60_000 });
  assert.equal(ann.cam.state, 'idle');
  Object.assign(server, { state: 'full', says: { paused: ['new'], message: 7 } });
  await assert.rejects(ben.cam.find({ mode: 'text' }), { code: 'paused', reason: 'new' });
  assert.equal(ben.last('site').message, '');
});

test('a frame over its limit, or nonsense, from the server closes the session', async () => {
  for (const bytes of [[0x41, 0, 0x10, 1], [0x42, 0, 0, 1, 0x7b], [0x82, 0, 0, 1, 0]]) {
    const server = new FakeServer();
    const [ann] = people(server, 1);
    ann.cam.find({ mode: 'text' });
    await until(() => ann.last('waiting'));
    server.person(0).pipe?.toClient?.enqueue(new Uint8Array(bytes));
    await until(() => ann.last('error'));
    assert.ok(['protocol', 'too_large'].includes(ann.last('error').error.code));
  }
});

test('a draining server is left: at once when idle or searching, after the chat otherwise', async () => {
  const server = new FakeServer();
  const [ann, ben] = await talk(server);
  await until(() => ann.last('secure') && ben.last('secure'));
  const sessions = server.sessions;
  for (const person of [0, 1]) server.person(person).tell(T.DRAIN, { within_ms: 30_000 });
  await until(() => ann.last('draining') && ben.last('draining'));
  ann.cam.sendText('still here');
  await until(() => ben.last('message'));
  ann.cam.next();
  ben.cam.next();
  await until(() => ann.all('secure').length === 2 && ben.all('secure').length === 2);
  assert.equal(server.sessions, sessions + 2);
});
