// The few things this page needs of the DOM. Text goes in as text: nothing here parses HTML.

/**
 * The element with this id, which the page always has.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} [kind]
 * @returns {T}
 */
export function $(id, kind) {
  const element = document.getElementById(id);
  if (!element || (kind && !(element instanceof kind))) throw new Error(`no #${id}`);
  return /** @type {T} */ (element);
}

/**
 * A new element.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Partial<Record<string, unknown>>} [properties] set as properties; `class`, `role` and `aria-*` as attributes
 * @param {...(Node|string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === 'class' || name === 'role' || name.includes('-')) element.setAttribute(name, String(value));
    else Object.assign(element, { [name]: value });
  }
  element.append(...children);
  return element;
}

/**
 * A button that does something.
 * @param {string} label
 * @param {() => unknown} action
 * @param {string} [kind]
 */
export function button(label, action, kind = 'quiet') {
  const element = el('button', { type: 'button', class: kind }, label);
  element.addEventListener('click', action);
  return element;
}

/**
 * Shows one of the page's views and hides the others.
 * @param {'landing'|'too-young'|'setup'|'stage'} view
 */
export function showView(view) {
  document.body.dataset.view = view;
  for (const id of ['landing', 'too-young', 'setup', 'stage']) $(id).hidden = id !== view;
}

/**
 * Says something to a screen reader.
 * @param {string} text
 */
export function announce(text) {
  $('announce').textContent = text;
}
