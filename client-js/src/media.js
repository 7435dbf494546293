// Camera and microphone: opening, switching, stopping, and errors that name their cause. Loaded only in video.
// Comes in: what the person chose. Goes out: one MediaStream that stays the same object, and `change` when its tracks do.

import { AnonCamError } from './errors.js';

/** Picture asked for: enough for a tile, light on a phone's battery and uplink. */
const PICTURE = { width: { ideal: 960 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } };
const SOUND = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

/** @typedef {{camera?: string, microphone?: string, facing?: 'user'|'environment'}} DeviceChoice */

/**
 * Own camera and microphone. Events: `change` (tracks or their state changed), `ended` (a device was taken away; detail.kind).
 */
export class LocalMedia extends EventTarget {
  /** Own tracks: the same object from open to stop. */
  stream = new MediaStream();
  /** @type {DeviceChoice} */
  #choice = {};
  #cameraOn = false;
  #microphoneOn = false;

  /** What the stranger can see and hear. */
  get state() {
    return { camera: this.#cameraOn, microphone: this.#microphoneOn };
  }

  /** Which way the camera looks. */
  get facing() {
    return this.#choice.facing ?? 'user';
  }

  /**
   * Opens both, or what is there of them.
   * @param {DeviceChoice} [choice]
   */
  async open(choice = {}) {
    this.#choice = { ...choice };
    const opened = await getMedia({ video: this.#video(), audio: this.#audio() });
    this.#replace(opened.getTracks());
    this.#cameraOn = opened.getVideoTracks().length > 0;
    this.#microphoneOn = opened.getAudioTracks().length > 0;
    this.#changed();
  }

  /**
   * Off stops the camera itself, so that its light goes out.
   * @param {boolean} on
   */
  async setCamera(on) {
    if (on === this.#cameraOn) return;
    if (on) this.#replace((await getMedia({ video: this.#video() })).getTracks());
    else this.#drop('video');
    this.#cameraOn = on;
    this.#changed();
  }

  /** @param {boolean} on */
  setMicrophone(on) {
    for (const track of this.stream.getAudioTracks()) track.enabled = on;
    this.#microphoneOn = on && this.stream.getAudioTracks().length > 0;
    this.#changed();
  }

  /**
   * Another camera or microphone.
   * @param {DeviceChoice} choice
   */
  async use(choice) {
    this.#choice = { ...this.#choice, ...choice };
    if ((choice.camera || choice.facing) && this.#cameraOn) {
      if (choice.facing) this.#choice.camera = undefined;
      // Many phones open one camera at a time: the old one goes first.
      this.#drop('video');
      this.#replace((await getMedia({ video: this.#video() })).getTracks());
    }
    if (choice.microphone) {
      this.#replace((await getMedia({ audio: this.#audio() })).getTracks());
      this.setMicrophone(this.#microphoneOn);
    }
    this.#changed();
  }

  /** The other side of a phone. */
  flip() {
    return this.use({ facing: this.facing === 'user' ? 'environment' : 'user' });
  }

  /** Stops everything: no light stays on. */
  stop() {
    this.#drop('video');
    this.#drop('audio');
    this.#cameraOn = this.#microphoneOn = false;
    this.#changed();
  }

  #video() {
    const { camera, facing } = this.#choice;
    if (camera) return { ...PICTURE, deviceId: { exact: camera } };
    return { ...PICTURE, facingMode: facing ?? 'user' };
  }

  #audio() {
    const { microphone } = this.#choice;
    return microphone ? { ...SOUND, deviceId: { exact: microphone } } : SOUND;
  }

  /** @param {MediaStreamTrack[]} tracks */
  #replace(tracks) {
    for (const track of tracks) {
      this.#drop(track.kind);
      this.stream.addTrack(track);
      track.onended = () => {
        this.#drop(track.kind);
        if (track.kind === 'video') this.#cameraOn = false;
        else this.#microphoneOn = false;
        this.#changed();
        this.dispatchEvent(new CustomEvent('ended', { detail: { kind: track.kind } }));
      };
    }
  }

  /** @param {string} kind */
  #drop(kind) {
    for (const track of this.stream.getTracks()) {
      if (track.kind !== kind) continue;
      track.onended = null;
      track.stop();
      this.stream.removeTrack(track);
    }
  }

  #changed() {
    this.dispatchEvent(new CustomEvent('change', { detail: this.state }));
  }
}

/**
 * Cameras, microphones and speakers by name. Names are empty before a permission was given.
 * @returns {Promise<{cameras: MediaDeviceInfo[], microphones: MediaDeviceInfo[], speakers: MediaDeviceInfo[]}>}
 */
export async function listDevices() {
  const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  /** @param {MediaDeviceKind} kind */
  const of = (kind) => all.filter((device) => device.kind === kind && device.deviceId !== '');
  return { cameras: of('videoinput'), microphones: of('audioinput'), speakers: of('audiooutput') };
}

/**
 * @param {MediaStreamConstraints} constraints
 * @returns {Promise<MediaStream>}
 */
async function getMedia(constraints) {
  if (!navigator.mediaDevices?.getUserMedia) throw new AnonCamError('insecure');
  try {
    return await navigator.mediaDevices.getUserMedia(constraints);
  } catch (cause) {
    throw mediaError(cause);
  }
}

/**
 * Which of the three causes it is (Media Capture and Streams, section 10.2).
 * @param {unknown} cause
 */
export function mediaError(cause) {
  const name = cause instanceof Error ? cause.name : '';
  if (name === 'NotAllowedError' || name === 'SecurityError') return new AnonCamError('denied', { cause });
  if (name === 'NotReadableError' || name === 'AbortError') return new AnonCamError('in_use', { cause });
  if (name === 'NotFoundError' || name === 'OverconstrainedError') return new AnonCamError('no_device', { cause });
  return new AnonCamError('insecure', { cause });
}
