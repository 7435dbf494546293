// What stands under the title during a chat: what is amiss, as long as it lasts; else what the two have in common.

import { showHint } from './stage.js';

/** @typedef {import('./stage.js').Words} Words */

/** How long something is said that is over at once. */
const MENTION_MS = 4_000;

export class Hints {
  /** @type {Words|null} */
  #usual = null;
  #on = false;
  /** @type {Map<string, Words>} */
  #troubles = new Map();
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #mentioned;

  /** A chat begins. @param {Words|null} usual said while nothing is amiss; null: nothing */
  begin(usual) {
    this.end();
    this.#usual = usual;
    this.#on = true;
  }

  /** Nothing is said any more. */
  end() {
    clearTimeout(this.#mentioned);
    this.#troubles.clear();
    this.#on = false;
  }

  /**
   * Something is amiss, or is not any more.
   * @param {'stranger'|'connection'|'video'|'text'} what
   * @param {Words|null} words null: it is well again
   */
  trouble(what, words) {
    if (words) this.#troubles.set(what, words);
    else this.#troubles.delete(what);
    this.#show();
  }

  /** @param {Words} words said for a moment */
  mention(words) {
    clearTimeout(this.#mentioned);
    showHint(words);
    this.#mentioned = setTimeout(() => this.#show(), MENTION_MS);
  }

  #show() {
    if (!this.#on) return;
    const words = [...this.#troubles.values()].at(-1);
    showHint(words ?? this.#usual ?? (() => ''), words === undefined);
  }
}
