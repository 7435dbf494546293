// The first view's JavaScript and CSS after brotli (quality 11, file by file, as the server sends them). Limit: 45 KB.
// Which files: what index.html names, and every module that those import statically.

import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants } from 'node:zlib';

export const LIMIT_BYTES = 45_000;
const client = fileURLToPath(new URL('../../client-js', import.meta.url));
const onDisk = (path) => (path.startsWith('/src/') ? join(client, path) : join(client, 'app', path));

/** Files of the first view, as paths of the site. */
export function firstView() {
  const html = readFileSync(join(client, 'app/index.html'), 'utf8');
  const named = [...html.matchAll(/(?:src|href)="(\/[^"]+\.(?:js|css))"/g)].map(([, path]) => path);
  const all = new Set();
  const add = (path) => {
    if (all.has(path)) return;
    all.add(path);
    if (!path.endsWith('.js')) return;
    for (const [, from] of readFileSync(onDisk(path), 'utf8').matchAll(/^(?:import|export) [^;]*?'(\.[^']+)';/gm)) {
      const file = resolve(dirname(onDisk(path)), from);
      add(file.startsWith(join(client, 'src')) ? file.slice(client.length) : file.slice(join(client, 'app').length));
    }
  };
  named.forEach(add);
  return [...all];
}

export const compressedBytes = (path) =>
  brotliCompressSync(readFileSync(onDisk(path)), { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }).length;

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const sizes = firstView().map((path) => [path, compressedBytes(path)]);
  for (const [path, bytes] of sizes) console.log(`${String(bytes).padStart(6)}  ${path}`);
  console.log(`${String(sizes.reduce((sum, [, bytes]) => sum + bytes, 0)).padStart(6)}  of ${LIMIT_BYTES} allowed`);
}
