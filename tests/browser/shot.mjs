// One state as one picture: node shot.mjs STATE OUT.png [WIDTH] [light|dark] [LANG]
import { launchChromium } from './browsers.mjs';
import { servePage } from './page-server.mjs';

const [, , name, out, width = '1280', theme = 'light', lang = 'en'] = process.argv;
const heights = { 320: 640, 390: 844 };
const site = await servePage();
const browser = await launchChromium();
const page = await browser.newPage({ viewport: { width: Number(width), height: heights[width] ?? 800 }, colorScheme: theme });
page.on('console', (message) => message.type() === 'error' && console.log(message.text()));
await page.goto(`${site.origin}/?state=${name}&lang=${lang}`);
await page.waitForSelector(`html[data-shown="${name}"]`);
await page.screenshot({ path: out });
await browser.close();
site.close();
