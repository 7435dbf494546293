// The world of a test file: browsers that stay, a server and people that are fresh for each test.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach } from 'node:test';
import { launchChromium, launchFirefox } from './browsers.mjs';
import { Person } from './person.mjs';
import { Server } from './server.mjs';

export class World {
  contexts = [];

  /** Somebody at Chromium, in a profile of their own. */
  async inChromium(name, { path = '/', context: options = {}, prepare } = {}) {
    const context = await this.chromium.newContext(options);
    this.contexts.push(context);
    const page = await context.newPage();
    await prepare?.(page);
    const person = new Person(page, name);
    await person.goto(this.server.origin + path);
    return person;
  }

  /** Somebody at Firefox. */
  async inFirefox(name, { path = '/', prepare } = {}) {
    const context = await this.firefox.createBrowserContext();
    this.contexts.push(context);
    const page = await context.newPage();
    await prepare?.(page);
    const person = new Person(page, name);
    await person.goto(this.server.origin + path);
    return person;
  }

  async leave() {
    await Promise.all(this.contexts.splice(0).map((context) => context.close().catch(() => {})));
  }
}

/**
 * Registers what runs around the tests of a file.
 * @param {{firefox?: boolean, settings?: () => Promise<Record<string, string>>|Record<string, string>, chromiumArgs?: string[], prefs?: object}} [needs]
 */
export function useWorld({ firefox = false, settings = () => ({}), chromiumArgs = [], prefs = {} } = {}) {
  const world = new World();
  before(async () => {
    [world.chromium, world.firefox] = await Promise.all([launchChromium(chromiumArgs), firefox ? launchFirefox(prefs) : null]);
  });
  beforeEach(async () => {
    world.server = await Server.start(await settings());
  });
  afterEach(async () => {
    await world.leave();
    await world.server?.stop();
  });
  after(async () => {
    await Promise.all([world.chromium?.close(), world.firefox?.close()]);
  });
  return world;
}

/** Nothing is left in the browsers of these people, and nothing went wrong in their pages. */
export async function clean(...people) {
  for (const person of people) {
    assert.deepEqual(await person.leftovers(), {}, `${person.name} left something in the browser`);
    assert.deepEqual(person.errors, [], `${person.name} saw errors`);
  }
}
