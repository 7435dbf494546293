// What a phone needs in video: the screen stays on; a page that nobody looks at films nobody.

export class PhoneCare {
  #media;
  /** @type {WakeLockSentinel|null} */
  #lock = null;
  #on = false;
  #cameraWasOn = false;
  #changed = () => void this.#visibility();

  /** @param {import('../../src/media.js').LocalMedia} media */
  constructor(media) {
    this.#media = media;
  }

  begin() {
    if (this.#on) return;
    this.#on = true;
    document.addEventListener('visibilitychange', this.#changed);
    void this.#keepAwake();
  }

  end() {
    this.#on = false;
    this.#cameraWasOn = false;
    document.removeEventListener('visibilitychange', this.#changed);
    void this.#lock?.release().catch(() => {});
    this.#lock = null;
  }

  async #visibility() {
    if (document.hidden) {
      if (!matchMedia('(pointer: coarse)').matches) return;
      this.#cameraWasOn = this.#media.state.camera;
      await this.#media.setCamera(false);
      return;
    }
    void this.#keepAwake();
    if (this.#cameraWasOn && this.#on) await this.#media.setCamera(true).catch(() => {});
    this.#cameraWasOn = false;
  }

  async #keepAwake() {
    try {
      await this.#lock?.release();
      const lock = await navigator.wakeLock?.request('screen');
      if (this.#on) this.#lock = lock;
      else await lock?.release();
    } catch {
      // Refused on low battery: the screen may go dark, the chat goes on.
    }
  }
}
