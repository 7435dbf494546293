// A Web Worker that searches one proof of work, so that the page stays quick meanwhile.

import { Search } from './work-search.js';

globalThis.addEventListener('message', ({ data }) => globalThis.postMessage(new Search(data).step(Infinity)));
