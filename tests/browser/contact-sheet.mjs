// Every state at three widths, light and dark, English and Arabic, as pictures and one contact sheet each.
// node contact-sheet.mjs [OUT] [state …]   Widths, themes, languages: WIDTHS=390 THEMES=dark LANGS=ar

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { launchChromium } from './browsers.mjs';
import { servePage } from './page-server.mjs';

const HEIGHTS = { 320: 640, 390: 844, 1280: 800, 3840: 2160 };
const out = process.argv[2] ?? '../../test-output/states';
const list = (name, usual) => (process.env[name] ?? usual).split(',');
const site = await servePage();
const browser = await launchChromium();
await mkdir(out, { recursive: true });
try {
  for (const width of list('WIDTHS', '320,390,1280').map(Number)) {
    for (const theme of list('THEMES', 'light,dark')) {
      for (const lang of list('LANGS', 'en,ar')) await sheet(width, theme, lang);
    }
  }
} finally {
  await browser.close();
  site.close();
}

async function sheet(width, theme, lang) {
  const page = await browser.newPage({ viewport: { width, height: HEIGHTS[width] ?? 800 }, colorScheme: theme });
  const names = process.argv.length > 3 ? process.argv.slice(3) : await stateNames(page, lang);
  const shots = [];
  for (const name of names) {
    await page.goto(`${site.origin}/?state=${name}&lang=${lang}`);
    await page.waitForSelector(`html[data-shown="${name}"]`);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (overflow > 0) console.log(`${name} ${width} ${lang}: ${overflow} px wider than the window`);
    const picture = await page.screenshot({ type: 'jpeg', quality: 80 });
    shots.push({ name, data: picture.toString('base64') });
  }
  const columns = Number(process.env.COLUMNS_SHOWN ?? (width > 1000 ? 4 : 9));
  const cell = Number(process.env.CELL_PX ?? (width > 1000 ? 480 : 210));
  const html = `<body style="margin:16px;background:#777;font:13px system-ui;display:grid;grid-template-columns:repeat(${columns},${cell}px);gap:12px">${shots
    .map(({ name, data }) => `<div><b>${name}</b><img style="width:100%;display:block" src="data:image/jpeg;base64,${data}"></div>`).join('')}`;
  const paper = await browser.newPage({ viewport: { width: columns * (cell + 12) + 32, height: 600 } });
  await paper.setContent(html);
  await writeFile(join(out, `${width}-${theme}-${lang}.png`), await paper.screenshot({ fullPage: true }));
  await paper.close();
  await page.close();
}

async function stateNames(page, lang) {
  await page.goto(`${site.origin}/?state=landing&lang=${lang}`);
  await page.waitForSelector('html[data-names]');
  return page.evaluate(() => document.documentElement.dataset.names.split(' '));
}
