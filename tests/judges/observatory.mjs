// MDN's HTTP Observatory, run on a server on this machine: `node observatory.mjs HOST HTTPS_PORT HTTP_PORT`. Everything that it tests has to pass.
// Its own command asks on ports 80 and 443 only, so its parts are put together here as that command does.

import { existsSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = new URL('./node_modules/@mdn/mdn-http-observatory/', import.meta.url);
// The list of preloaded names, which its installation would fetch. A server on this machine is on none.
const preloaded = fileURLToPath(new URL('conf/hsts-preload.json', root));
if (!existsSync(preloaded)) writeFileSync(preloaded, '{}');
const load = (path) => import(new URL(path, root).href);
const { retrieve } = await load('src/retriever/retriever.js');
const { ALL_TESTS } = await load('src/constants.js');
const { getGradeForScore, getScoreDescription, getScoreModifier } = await load('src/grader/grader.js');

const [host, httpsPort, httpPort] = process.argv.slice(2);
const found = await retrieve(host, { httpsPort: Number(httpsPort), httpPort: Number(httpPort) });
if (!found.responses.auto) throw new Error('the site is down');
let score = 100;
let failed = 0;
for (const test of ALL_TESTS) {
  const { result, pass } = test(found);
  score += getScoreModifier(result);
  failed += pass ? 0 : 1;
  console.log(`${pass ? 'ok    ' : 'FAILED'} ${getScoreModifier(result).toString().padStart(4)}  ${result}: ${getScoreDescription(result).replace(/<[^>]*>/g, '').replace(/\s+/g, ' ').trim()}`);
}
const { grade } = getGradeForScore(score);
console.log(`grade ${grade}, score ${score}`);
process.exit(failed === 0 && grade === 'A+' ? 0 : 1);
