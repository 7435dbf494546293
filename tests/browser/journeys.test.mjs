// Journeys through the whole product: storms of nexts, report and block, a restart in mid-video, Arabic, keyboard alone, hostile text.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { talk } from './person.mjs';
import { clean, useWorld } from './world.mjs';

const world = useWorld({ firefox: true });

test('a storm: 100 nexts between 6 pages, nobody stuck, every message in the right chat', async () => {
  const people = await Promise.all(Array.from({ length: 6 }, (_, index) => world.inChromium(`P${index}`)));
  // In the page, since 100 nexts want to be quick: every chat greets with a number of its own, and every greeting has to be of this chat.
  await Promise.all(people.map((person) => person.evaluate(() => {
    globalThis.story = [];
    new MutationObserver(() => {
      if (document.body.dataset.phase === 'chat') document.body.dataset.met = String(Number(document.body.dataset.met ?? 0) + 1);
    }).observe(document.body, { attributes: true, attributeFilter: ['data-phase'] });
  })));
  for (const person of people) await person.startText();
  let nexts = 0;
  const storm = async (person, index) => {
    for (let round = 0; nexts < 100; round += 1) {
      const met = await person.evaluate(() => document.body.dataset.phase === 'chat');
      if (met) {
        // The message may meet the end of the chat: then the page has no chat to send to, which is right.
        await person.evaluate((text) => {
          document.getElementById('text').value = text;
          document.getElementById('composer').requestSubmit();
        }, `${person.name} ${round}`);
      }
      if (nexts >= 100) return;
      nexts += 1;
      await person.next();
      await person.until(() => ['chat', 'searching', 'over'].includes(document.body.dataset.phase), 'not in a problem');
      // Every second one stays until somebody is met, or the storm is over.
      while (index % 2 === 0 && nexts < 100 && (await person.state()).phase === 'searching') await person.page.waitForTimeout(20);
    }
  };
  await Promise.all(people.map(storm));
  assert.ok(nexts >= 100);
  // After the storm: all six find somebody, and each pair hears each other and nobody else.
  await Promise.all(people.map(async (person) => {
    if (await person.evaluate(() => document.body.dataset.phase === 'over')) await person.next();
  }));
  await settle(people);
  const pairs = await greet(people);
  assert.equal(pairs.length, 3);
  await clean(...people);
});

/** Until all are in a chat; who was left by a late next looks again. */
async function settle(people) {
  for (const person of people) {
    await person.until(() => {
      if (document.body.dataset.phase === 'over') document.querySelector('#actions .primary').click();
      return document.body.dataset.phase === 'chat';
    }, 'in a chat after the storm');
  }
  const phases = await Promise.all(people.map((person) => person.evaluate(() => document.body.dataset.phase)));
  if (phases.some((phase) => phase !== 'chat')) await settle(people);
}

/** Everybody says their name; who heard whom has to be symmetric. */
async function greet(people) {
  await Promise.all(people.map((person) => person.say(`finally ${person.name}`)));
  const heard = await Promise.all(people.map(async (person) => {
    await person.hears('finally');
    return (await person.transcript()).filter((line) => line.includes('theirs: finally')).map((line) => line.split(' ').at(-1));
  }));
  for (const [index, names] of heard.entries()) assert.equal(names.length, 1, `${people[index].name} heard ${names}`);
  const partner = new Map(heard.map(([name], index) => [people[index].name, name]));
  for (const [name, other] of partner) assert.equal(partner.get(other), name, 'chats are symmetric');
  return [...partner].filter(([name, other]) => name < other);
}

test('report: two clicks, a case code, the stranger is told nothing but that somebody left, and the two never meet again', async () => {
  const [ann, ben] = [await world.inChromium('Ann'), await world.inFirefox('Ben')];
  await ann.startText();
  await ben.startText();
  await talk(ann, ben);
  await ann.click('#report');
  await ann.click('#dialog-body button:nth-of-type(4)');
  await ann.until(() => /[2-9A-Z]{3}-[2-9A-Z]{3}/.test(document.getElementById('status-text').textContent), 'a case code');
  await ben.phase('over');
  assert.equal((await ben.state()).title, 'The stranger left.');
  await ann.next();
  await ben.next();
  await new Promise((resolve) => setTimeout(resolve, 3_000)); // Longer than the 2 s after which recent strangers may meet again.
  assert.deepEqual([(await ann.state()).phase, (await ben.state()).phase], ['searching', 'searching']);
  await clean(ann, ben);
});

test('the last stranger can be reported after they left', async () => {
  const [ann, ben] = [await world.inChromium('Ann'), await world.inChromium('Ben')];
  await ann.startText();
  await ben.startText();
  await talk(ann, ben);
  await ben.click('#stop');
  await ann.phase('over');
  await ann.click('#report');
  await ann.click('#dialog-body button:nth-of-type(1)');
  await ann.until(() => document.getElementById('status-title').textContent.startsWith('Reported'), 'reported');
});

test('block: the two never meet again, and others can', async () => {
  const [ann, ben] = [await world.inChromium('Ann'), await world.inChromium('Ben')];
  await ann.startText();
  await ben.startText();
  await talk(ann, ben);
  await ann.click('#block');
  await ben.phase('over');
  await ann.next();
  await ben.next();
  const cleo = await world.inChromium('Cleo');
  await cleo.startText();
  await cleo.phase('chat');
  const phases = [(await ann.state()).phase, (await ben.state()).phase].sort();
  assert.deepEqual(phases, ['chat', 'searching']);
});

test('the server is restarted in the middle of a video chat: the video goes on, text is off and says so, next works', async () => {
  const [ann, ben] = [await world.inChromium('Ann'), await world.inChromium('Ben')];
  await ann.startVideo();
  await ben.startVideo();
  await Promise.all([ann.sees(), ben.sees()]);
  await talk(ann, ben);
  await world.server.down('SIGKILL');
  await world.server.up();
  await ann.say('are you there?');
  await ben.say('are you?');
  for (const person of [ann, ben]) {
    await person.until(() => document.getElementById('text').disabled && document.getElementById('status-text').textContent.startsWith('Text is off'), 'text is off and says so');
    await person.evaluate(() => void (globalThis.lastPicture = undefined));
    await person.sees();
  }
  await ann.next();
  await ben.until(() => document.body.dataset.phase === 'over', 'learns that the video ended');
  await ben.next();
  await Promise.all([ann.phase('chat'), ben.phase('chat')]);
  await talk(ann, ben, 'after the restart');
  await Promise.all([ann.sees(), ben.sees()]);
  await clean(ann, ben);
});

test('a draining server: the chat ends with its reason, and the next one is found after the restart', async () => {
  const [ann, ben] = [await world.inChromium('Ann'), await world.inFirefox('Ben')];
  await ann.startText();
  await ann.phase('searching');
  await world.server.down('SIGTERM');
  await world.server.up();
  await ben.goto(world.server.origin);
  await ben.startText();
  await talk(ann, ben);
});

test('shared interests are named', async () => {
  const [ann, ben] = [await world.inChromium('Ann'), await world.inChromium('Ben')];
  await ann.startText({ interests: ['Lighthouses', 'jazz'] });
  await ben.startText({ interests: ['lighthouses'] });
  await ann.phase('chat');
  await ann.until(() => document.getElementById('status-text').textContent.toLowerCase().includes('lighthouses'), 'names what both like');
  await talk(ann, ben);
});

test('strict: who shares no interest is passed over, and the page says that it can take longer', async () => {
  const [cleo, ann, ben] = [await world.inChromium('Cleo'), await world.inChromium('Ann'), await world.inFirefox('Ben')];
  await cleo.startText({ interests: ['opera'], strict: true });
  await cleo.until(() => document.getElementById('status-text').textContent.includes('online') && document.getElementById('status-text').textContent.includes('can take longer'), 'waits');
  await ann.startText();
  await ben.startText();
  await talk(ann, ben);
  assert.equal((await cleo.state()).phase, 'searching');
});

test('in Arabic, right to left', async () => {
  const ann = await world.inChromium('Ann', { path: '/?lang=ar' });
  const ben = await world.inChromium('Ben', { context: { locale: 'ar-EG' } });
  await ann.startText();
  await ben.startText();
  await Promise.all([ann.phase('chat'), ben.phase('chat')]);
  await ann.say('مرحبا');
  await ben.hears('مرحبا');
  for (const person of [ann, ben]) {
    assert.deepEqual(await person.evaluate(() => [document.documentElement.dir, getComputedStyle(document.body).direction, document.getElementById('stop').textContent]), ['rtl', 'rtl', 'إيقاف']);
  }
});

test('by keyboard alone: start, talk, next, report', async () => {
  const [ann, ben] = [await world.inChromium('Ann'), await world.inFirefox('Ben')];
  await tabTo(ann, '#adult');
  await ann.page.keyboard.press('Space');
  await tabTo(ann, '#start button[value=text]');
  await ann.page.keyboard.press('Enter');
  await ann.phase('searching');
  await ben.startText();
  await ann.phase('chat');
  await ann.until(() => document.activeElement?.id === 'text', 'the focus is in the message');
  await ann.page.keyboard.type('typed');
  await ann.page.keyboard.press('Enter');
  await ben.hears('typed');
  await tabTo(ann, '#report');
  await ann.page.keyboard.press('Enter');
  await ann.until(() => document.getElementById('dialog').open, 'the dialog is open');
  await ann.page.keyboard.press('Escape');
  await ann.until(() => !document.getElementById('dialog').open && document.body.dataset.phase === 'chat', 'Esc closes the dialog and nothing else');
  await ann.until(() => document.activeElement?.id === 'report', 'the focus is back');
  await ben.click('#stop');
  await ann.phase('over');
  await ann.page.keyboard.press('Enter');
  await ann.phase('searching');
});

/** Tab until the focus is there, and it is visible. */
async function tabTo(person, selector) {
  for (let presses = 0; presses < 60; presses += 1) {
    const there = await person.evaluate((wanted) => document.activeElement?.matches(wanted), selector);
    if (there) {
      const ring = await person.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
      assert.notEqual(ring, 'none', `${selector} shows its focus`);
      return;
    }
    await person.page.keyboard.press('Tab');
  }
  assert.fail(`${selector} is not reached by Tab`);
}

test('nothing in a message runs or loads', async () => {
  const [ann, ben] = [await world.inChromium('Ann'), await world.inFirefox('Ben')];
  const asked = [];
  ben.page.on('request', (request) => asked.push(request.url()));
  await ann.startText();
  await ben.startText();
  await Promise.all([ann.phase('chat'), ben.phase('chat')]);
  const hostile = [
    '<img src=x onerror="document.title=1">', '<script>document.title=1</script>', 'javascript:alert(1)', 'https://evil.example/x.png',
    '"><svg onload=document.title=1>', '{{7*7}}${7*7}', '\u202Egnp.exe', '<iframe srcdoc="<script>parent.document.title=1</script>">', '<style>*{display:none}</style>',
  ];
  const before = asked.length;
  for (const text of hostile) await ann.say(text);
  await ben.until((count) => document.querySelectorAll('#log .theirs').length === count, 'all arrived', hostile.length);
  assert.deepEqual((await ben.transcript()).map((line) => line.replace('theirs: ', '')), hostile);
  assert.equal(await ben.evaluate(() => document.querySelectorAll('#log :not(p, span)').length), 0, 'text and nothing else');
  assert.deepEqual(asked.slice(before), []);
  await clean(ann, ben);
});

test('nothing connects before the tick, and under 18 is a dead end', async () => {
  const ann = await world.inChromium('Ann');
  const asked = [];
  ann.page.on('request', (request) => asked.push(new URL(request.url()).pathname));
  await ann.click('#start button[value=text]');
  await ann.until(() => !document.getElementById('age-error').hidden && document.activeElement?.id === 'adult', 'asks for the tick');
  await ann.click('#under');
  await ann.until(() => document.body.dataset.view === 'too-young', 'a kind dead end');
  assert.deepEqual(asked, []);
});

test('leaving by a link ends the chat; Back brings the first page, and nothing of what was said', async () => {
  const [ann, ben] = [await world.inChromium('Ann'), await world.inFirefox('Ben')];
  for (const person of [ann, ben]) await person.startText();
  await talk(ann, ben, 'a secret');
  await ann.page.goto(`${world.server.origin}/rules`);
  await ben.phase('over');
  await ben.click('#actions .primary');
  await ben.phase('searching');
  await ann.page.goBack();
  await ann.until(() => document.querySelector('#langs button') !== null && document.body.dataset.view === 'landing', 'the first page');
  assert.equal(await ann.evaluate(() => document.documentElement.innerHTML.includes('a secret')), false);
  await clean(ann, ben);
});

test('Back means Stop: the chat ends, the first page is there, and nothing is left', async () => {
  const [ann, ben] = [await world.inChromium('Ann'), await world.inChromium('Ben')];
  await ann.startText({ interests: ['secrets'] });
  await ben.startText();
  await talk(ann, ben).catch(() => {});
  await ann.page.goBack();
  await ann.until(() => document.body.dataset.view === 'landing', 'the first page');
  assert.equal(await ann.evaluate(() => document.body.innerText.includes('secrets') || document.getElementById('log').children.length > 0), false);
  await ben.phase('over');
  assert.equal(await ann.evaluate(() => document.getElementById('adult').checked), false);
});
