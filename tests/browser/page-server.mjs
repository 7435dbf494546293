// Serves the page as the product does (same files, same Content-Security-Policy), with the fixtures beside it: `?state=NAME` shows a
// state without a server. The fixtures are no part of the page: only this test server has them.

import { createReadStream, existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const client = fileURLToPath(new URL('../../client-js/', import.meta.url));
const fixtures = fileURLToPath(new URL('./fixtures/', import.meta.url));
const TYPES = {
  '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8',
  '.json': 'application/json', '.svg': 'image/svg+xml', '.txt': 'text/plain; charset=utf-8',
};
export const CSP = [
  "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data: blob:", "media-src 'self' blob:", "connect-src 'self'", "base-uri 'none'",
  "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", 'trusted-types anoncam-work',
].join('; ');

/** The file behind a path of the site; null if there is none. */
function fileOf(path) {
  if (path === '/fixtures/axe.min.js') return createRequire(import.meta.url).resolve('axe-core/axe.min.js');
  const safe = normalize(path).replace(/^(\.\.[/\\])+/, '');
  if (safe.startsWith('/src/')) return join(client, safe);
  if (safe.startsWith('/fixtures/')) return join(fixtures, safe.slice(10));
  if (safe === '/') return join(client, 'app/index.html');
  const plain = join(client, 'app', safe);
  return extname(safe) ? plain : `${plain}.html`;
}

/**
 * @param {number} [port]
 * @param {string} [behind] origin of a server whose client-config.json is passed on
 */
export function servePage(port = 0, behind = '') {
  let policy = CSP;
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    if (behind && url.pathname === '/client-config.json') return passOn(`${behind}/client-config.json`, response);
    if (behind && policy === CSP) policy = CSP.replace("connect-src 'self'", `connect-src 'self' ${await chatOrigins(behind)}`);
    if (url.pathname === '/healthz') return response.setHeader('Content-Type', 'text/plain').end('open');
    const file = fileOf(url.pathname);
    if (!file || !existsSync(file)) return response.writeHead(404).end();
    response.setHeader('Content-Type', TYPES[extname(file)] ?? 'application/octet-stream');
    response.setHeader('Content-Security-Policy', policy);
    response.setHeader('Cache-Control', extname(file) === '.html' ? 'no-store' : 'max-age=600');
    if (url.pathname === '/' && url.searchParams.has('state')) {
      const page = await readFile(file, 'utf8');
      return response.end(page.replace('src="/main.js"', 'src="/fixtures/states.js"'));
    }
    createReadStream(file).pipe(response);
  });
  return new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve({
    origin: `http://127.0.0.1:${server.address().port}`,
    close: () => server.close(),
  })));
}

async function passOn(address, response) {
  const answer = await fetch(address).catch(() => null);
  if (!answer) return response.writeHead(502).end();
  response.writeHead(answer.status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' }).end(await answer.text());
}

/** Where the page may connect to; the WebSocket is on the site's own origin in the product, and behind it here. */
async function chatOrigins(behind) {
  const { webtransport, websocket } = await (await fetch(`${behind}/client-config.json`)).json();
  return [webtransport, websocket].filter(Boolean).map(({ url }) => new URL(url).origin).join(' ');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { origin } = await servePage(Number(process.argv[2] ?? 0));
  console.log(`${origin}/?state=landing`);
}
