// The npm package as somebody gets it: packed, unpacked elsewhere, and used by a program that is checked by tsc.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const client = fileURLToPath(new URL('..', import.meta.url));

const PROGRAM = `
import { AnonCam, AnonCamError, readSite } from 'anoncam';
import { EMOJI } from 'anoncam/emoji';
import { FrameReader } from 'anoncam/frames';
import { LocalMedia } from 'anoncam/media';
import { safetyCode } from 'anoncam/sealing';

export async function main(): Promise<string> {
  const cam = new AnonCam({ site: 'https://chat.example' });
  cam.on('secure', ({ code }) => console.log(code.map((one: number) => EMOJI[one][0])));
  cam.on('error', ({ error }) => console.log(error.code === 'banned' && error.appeal, error instanceof AnonCamError));
  // @ts-expect-error: no such event
  cam.on('nonsense', () => {});
  const { mode } = await cam.find({ mode: 'text', interests: ['music'] });
  console.log(await readSite('https://chat.example'), new FrameReader(), LocalMedia, safetyCode);
  return mode;
}
`;

test('the package has what it says: modules, types that a strict program compiles with, licences, and nothing else', () => {
  const folder = mkdtempSync(join(tmpdir(), 'anoncam-package-'));
  const run = (/** @type {string} */ program, /** @type {string[]} */ args, cwd = folder) => {
    try {
      return execFileSync(program, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    } catch (error) {
      const { stdout, stderr } = /** @type {{stdout: string, stderr: string}} */ (error);
      throw new Error(`${program} ${args.join(' ')}:\n${stdout}${stderr}`);
    }
  };
  try {
    run('npm', ['pack', '--silent', '--pack-destination', folder], client);
    const [packed] = readdirSync(folder);
    const home = join(folder, 'node_modules');
    mkdirSync(home);
    run('tar', ['xzf', packed, '-C', home]);
    run('mv', ['package', 'anoncam'], home);
    const inside = readdirSync(join(home, 'anoncam'), { recursive: true }).map(String);
    for (const file of ['README.md', 'LICENSE-MIT', 'LICENSE-APACHE', 'src/index.js', 'src/work-worker.js', 'types/index.d.ts']) assert.ok(inside.includes(file), file);
    assert.deepEqual(inside.filter((file) => /test|fake|tools|app/.test(file)), []);
    writeFileSync(join(folder, 'program.ts'), PROGRAM);
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    run(join(client, 'node_modules/.bin/tsc'), ['--strict', '--noEmit', '--target', 'es2022', '--module', 'nodenext', '--lib', 'es2023,dom,dom.iterable', 'program.ts']);
    const named = run('node', ['--input-type=module', '-e', "import('anoncam').then((all) => console.log(Object.keys(all).sort().join()))"]);
    assert.equal(named.trim(), 'AnonCam,AnonCamError,MAX_TEXT_UNITS,readSite');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
