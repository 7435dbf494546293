// Prints the SHA-256 of every file of the page, as a site serves it at /SHA256SUMS. With an address it also fetches every file from
// there and compares: node client-js/tools/sums.mjs [https://SITE]

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const client = fileURLToPath(new URL('..', import.meta.url));
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** Files that are served, by their path on the site. */
function files(folder, servedAt) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    // The server puts its privacy policy, with its operator's name, into privacy.html.
    if (entry.name.startsWith('.') || entry.name.endsWith('.test.js') || entry.name === 'privacy.html') return [];
    const path = join(folder, entry.name);
    return entry.isDirectory() ? files(path, `${servedAt}${entry.name}/`) : [[`${servedAt}${entry.name}`, path]];
  });
}

const all = [...files(join(client, 'app'), '/'), ...files(join(client, 'src'), '/src/')].sort(([a], [b]) => (a < b ? -1 : 1));
const site = process.argv[2];
let different = 0;
for (const [served, path] of all) {
  const here = sha256(readFileSync(path));
  if (!site) {
    console.log(`${here}  ${served}`);
    continue;
  }
  const answer = await fetch(new URL(served, site));
  const there = sha256(Buffer.from(await answer.arrayBuffer()));
  const same = answer.ok && there === here;
  if (!same) different += 1;
  console.log(`${same ? 'same     ' : 'DIFFERENT'}  ${here}  ${served}`);
}
if (site) console.log(different === 0 ? `all ${all.length} files are the published ones` : `${different} of ${all.length} files are not the published ones`);
process.exitCode = different === 0 ? 0 : 1;
