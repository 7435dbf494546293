// An optional sound when a stranger is found: two soft notes, made on the spot.

/** Plays it, if the browser lets a page play sound now. */
export function chime() {
  const audio = new AudioContext();
  const volume = audio.createGain();
  volume.connect(audio.destination);
  volume.gain.setValueAtTime(0.08, audio.currentTime);
  volume.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + 0.7);
  for (const [at, frequency] of [[0, 523.25], [0.16, 659.25]]) {
    const tone = audio.createOscillator();
    tone.frequency.value = frequency;
    tone.connect(volume);
    tone.start(audio.currentTime + at);
    tone.stop(audio.currentTime + 0.75);
  }
  setTimeout(() => void audio.close(), 1_000);
}
