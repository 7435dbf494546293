// Everything that only video needs: the preview before the first chat, own and strange picture, devices. Loaded with the first video.

import { LocalMedia, listDevices } from '../../src/media.js';
import { openDevices } from './dialogs.js';
import { $, el, showView } from './dom.js';
import { put, t } from './i18n.js';
import { movable } from './movable.js';
import { PhoneCare } from './phone.js';
import { showBadge } from './stage.js';

/** @typedef {{camera: boolean, microphone: boolean}} MediaState */

// The looks first, so that nothing of video is seen without them.
const looks = el('link', { rel: 'stylesheet', href: '/video.css' });
await new Promise((resolve, reject) => {
  looks.onload = resolve;
  looks.onerror = reject;
  document.head.append(looks);
});

export class Video {
  #media = new LocalMedia();
  #remote = $('remote', HTMLVideoElement);
  #veiled = true;
  #ready = false;
  #speaker = '';
  #wired = false;
  /** Whether only a relay may be used; null before the choice. @type {boolean|null} */
  hidden = null;
  #care;

  /** @param {{changed: (stream: MediaStream, state: MediaState) => void}} hooks */
  constructor(hooks) {
    this.#care = new PhoneCare(this.#media);
    this.#media.addEventListener('change', () => {
      hooks.changed(this.#media.stream, this.#media.state);
      this.#showOwn();
    });
    $('microphone').addEventListener('click', () => this.#media.setMicrophone(!this.#media.state.microphone));
    $('camera').addEventListener('click', () => void this.#guard(() => this.#media.setCamera(!this.#media.state.camera)));
    $('flip').addEventListener('click', () => void this.#guard(() => this.#media.flip()));
    $('devices').addEventListener('click', () => void this.#deviceChoice().then(openDevices));
    $('veil').addEventListener('click', () => this.#unveil());
    movable($('you'), $('stage'));
  }

  /** Own tracks. */
  get stream() {
    return this.#media.stream;
  }

  /** What of them is on. */
  get state() {
    return this.#media.state;
  }

  /**
   * Camera, devices, Direct or Hidden: before the first video chat.
   * @param {(hidden: boolean) => void} start
   * @param {() => void} back
   */
  setUp(start, back) {
    this.#start = start;
    this.#back = back;
    showView('setup');
    $('setup-title').focus();
    if (!this.#wired) this.#wire();
    void this.#openCamera();
  }
  #start = (/** @type {boolean} */ _hidden) => {};
  #back = () => {};

  #wire() {
    this.#wired = true;
    const form = $('setup-form', HTMLFormElement);
    form.noValidate = true;
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const path = new FormData(form).get('path');
      $('path-error').hidden = path !== null;
      if (path === null) return /** @type {HTMLElement|null} */ (form.querySelector('[name=path]'))?.focus();
      if (!this.#ready) return void this.#openCamera();
      this.hidden = path === 'hidden';
      this.#start(this.hidden);
    });
    form.addEventListener('change', () => void ($('path-error').hidden = true));
    $('setup-back').addEventListener('click', () => this.#back());
    $('camera-retry').addEventListener('click', () => void this.#openCamera());
  }

  async #openCamera() {
    $('camera-problem').hidden = true;
    try {
      await this.#media.open();
      this.#ready = true;
      $('preview', HTMLVideoElement).srcObject = this.#media.stream;
      $('setup-devices').replaceChildren(...(await this.#deviceChoice()).childNodes);
    } catch (error) {
      this.#ready = false;
      const code = /** @type {{code?: string}} */ (error).code ?? 'insecure';
      put($('camera-problem-text'), () => `${t(`error_${code}`)}\n${t(`error_${code}_text`)}`);
      $('camera-problem').hidden = false;
    }
  }

  /** The camera is on again after Stop. */
  async resume() {
    if (!this.#media.stream.active) await this.#media.open();
  }

  /** While searching: own picture in its tile, nothing of a stranger. */
  enterSearch() {
    this.#clearStranger();
    this.#care.begin();
    $('self', HTMLVideoElement).srcObject = this.#media.stream;
  }

  /** A new stranger: unseen and unheard until this person says so. */
  enterChat() {
    this.#veiled = true;
    this.#remote.muted = true;
    this.#remote.classList.add('veiled');
    $('veil').hidden = true;
  }

  leaveChat() {
    this.#clearStranger();
  }

  /** Camera and microphone off: no light stays on. */
  stop() {
    this.#clearStranger();
    this.#care.end();
    this.#media.stop();
    for (const id of ['self', 'preview']) $(id, HTMLVideoElement).srcObject = null;
  }

  /** @param {MediaStream} stream */
  showStranger(stream) {
    if (this.#remote.srcObject !== stream) this.#remote.srcObject = stream;
    void this.#remote.play().catch(() => {});
    if (!this.#veiled || !$('veil').hidden) return;
    $('veil').hidden = false;
    if (document.activeElement !== $('text')) $('veil').focus({ preventScroll: true });
  }

  /** @param {MediaState} theirs */
  showTheirs(theirs) {
    const words = [...(theirs.camera ? [] : ['their_camera_off']), ...(theirs.microphone ? [] : ['their_mic_off'])];
    showBadge('media', words.length > 0 ? () => words.map((key) => t(key)).join(' · ') : null);
  }

  /** @param {string} state */
  showConnection(state) {
    if (state === 'failed') $('veil').hidden = true;
  }

  #unveil() {
    this.#veiled = false;
    $('stage').toggleAttribute('data-unveiled', true);
    this.#remote.classList.remove('veiled');
    this.#remote.muted = false;
    $('veil').hidden = true;
    $('next').focus();
    // Some phones refuse sound without a tap of its own: the picture goes on silent, and the same button asks for one.
    this.#remote.play().catch(() => {
      this.#remote.muted = true;
      void this.#remote.play().catch(() => {});
      put($('veil'), () => t('tap_sound'));
      $('veil').hidden = false;
    });
  }

  #clearStranger() {
    $('stage').removeAttribute('data-unveiled');
    this.#remote.srcObject = null;
    this.#remote.muted = true;
    this.#remote.classList.add('veiled');
    const veil = $('veil');
    veil.hidden = true;
    put(veil, () => t('unveil'));
  }

  #showOwn() {
    const { camera, microphone } = this.#media.state;
    pressed('camera', !camera, camera ? 'camera_toggle' : 'camera_on');
    pressed('microphone', !microphone, microphone ? 'mute' : 'unmute');
    $('self-off').hidden = camera;
    $('self').classList.toggle('outward', this.#media.facing === 'environment');
    $('flip').hidden = !matchMedia('(pointer: coarse)').matches;
  }

  /** Selects for camera, microphone and, where the browser can, speaker. */
  async #deviceChoice() {
    const { cameras, microphones, speakers } = await listDevices();
    const canSpeak = 'setSinkId' in HTMLMediaElement.prototype;
    const current = (/** @type {string} */ kind) => this.#media.stream.getTracks().find((track) => track.kind === kind)?.getSettings().deviceId ?? '';
    return el('div', { class: 'devices' },
      ...select('camera', cameras, current('video'), (camera) => void this.#guard(() => this.#media.use({ camera }))),
      ...select('microphone', microphones, current('audio'), (microphone) => void this.#guard(() => this.#media.use({ microphone }))),
      ...(canSpeak ? select('speaker', speakers, this.#speaker, (speaker) => {
        this.#speaker = speaker;
        void this.#remote.setSinkId(speaker).catch(() => {});
      }) : []));
  }

  /** @param {() => Promise<void>} action that may be refused */
  async #guard(action) {
    try {
      await action();
    } catch (error) {
      const code = /** @type {{code?: string}} */ (error).code ?? 'insecure';
      openDevices(el('div', {}, el('p', { class: 'error' }, t(`error_${code}`)), el('p', {}, t(`error_${code}_text`))));
    }
  }
}

/**
 * @param {string} id
 * @param {boolean} on
 * @param {string} label
 */
function pressed(id, on, label) {
  $(id).setAttribute('aria-pressed', String(on));
  $(id).setAttribute('aria-label', t(label));
  $(id).dataset.label = label;
}

/**
 * @param {string} name
 * @param {MediaDeviceInfo[]} devices
 * @param {string} current
 * @param {(id: string) => void} use
 */
function select(name, devices, current, use) {
  if (devices.length === 0) return [];
  const options = devices.map((device, index) => el('option', { value: device.deviceId, selected: device.deviceId === current }, device.label || t('device_n', { n: index + 1 })));
  const choice = el('select', { autocomplete: 'off' }, ...options);
  choice.addEventListener('change', () => use(choice.value));
  return [el('label', {}, t(name), choice)];
}
