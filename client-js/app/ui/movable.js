// The own picture can be moved out of the way: dragged, or with the arrow keys.

const STEP_PX = 24;

/**
 * @param {HTMLElement} tile
 * @param {HTMLElement} within
 */
export function movable(tile, within) {
  let x = 0;
  let y = 0;
  const small = () => getComputedStyle(tile).position === 'absolute';
  const place = (/** @type {number} */ toX, /** @type {number} */ toY) => {
    tile.style.translate = '0 0';
    const home = tile.getBoundingClientRect();
    const room = within.getBoundingClientRect();
    x = Math.min(Math.max(toX, room.left - home.left), room.right - home.right);
    y = Math.min(Math.max(toY, room.top - home.top), room.bottom - home.bottom);
    tile.style.translate = `${x}px ${y}px`;
  };
  tile.addEventListener('pointerdown', (event) => {
    if (!small()) return;
    const [startX, startY] = [event.clientX - x, event.clientY - y];
    tile.setPointerCapture(event.pointerId);
    const move = (/** @type {PointerEvent} */ to) => place(to.clientX - startX, to.clientY - startY);
    tile.addEventListener('pointermove', move);
    tile.addEventListener('lostpointercapture', () => tile.removeEventListener('pointermove', move), { once: true });
  });
  tile.addEventListener('keydown', (event) => {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    if (!small() || (dx === 0 && dy === 0)) return;
    event.preventDefault();
    place(x + dx * STEP_PX, y + dy * STEP_PX);
  });
  // Back in its tile between chats, where a shift would be wrong.
  new MutationObserver(() => {
    const moved = small();
    tile.tabIndex = moved ? 0 : -1;
    if (!moved) {
      x = y = 0;
      tile.style.translate = '';
    }
  }).observe(within, { attributes: true, attributeFilter: ['data-phase', 'data-mode'] });
}
