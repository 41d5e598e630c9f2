import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

/** The widths of the pictures in CSS px: a desktop, a tablet and a phone. */
const widths = [1280, 810, 390];
/** What is seen of a page without scrolling, and how much of its length a sheet has, in CSS px. */
const screen = 900;
const cut = 1000;
const mostSheets = 5;
/** Ends of pages that are shorter than this are on the sheet before. */
const tail = 250;
const sheetWidth = 1520;
/** How much smaller the pictures are, those in the sheet's own theme and those in the other one. */
const scales = { large: 0.8, small: 0.4 };

/** Where the pictures are on a sheet: rows of a width and whether it is the other theme. */
const layout = [
  [[1280, false], [390, false], [390, true]],
  [[810, false], [1280, true], [810, true]],
];

/**
 * Takes pictures of pages and composes contact sheets in the browser: one for each state and language,
 * and more if the page is long. English sheets have the light theme large and the dark one small,
 * Chinese sheets the other way round.
 */
export class Camera {
  static async create(browser, folder, language) {
    const camera = new Camera();
    const context = await browser.newContext({ viewport: { width: sheetWidth, height: 400 } });
    Object.assign(camera, { folder, language, table: await context.newPage(), sessions: new WeakMap() });
    camera.themes = language === 'en' ? ['light', 'dark'] : ['dark', 'light'];
    return camera;
  }

  /** Takes the pictures of a state and writes its sheets. Returns their names. */
  async take(page, name) {
    const pictures = new Map();
    for (const width of widths) {
      await page.setViewportSize({ width, height: screen });
      for (const theme of this.themes) {
        await page.emulateMedia({ colorScheme: theme });
        pictures.set(`${width} ${theme}`, await this.#shoot(page, width, theme === this.themes[0] ? scales.large : scales.small));
      }
    }
    await page.setViewportSize({ width: widths[0], height: screen });
    const longest = Math.max(...[...pictures.values()].map(({ height }) => height));
    const names = [];
    const sheets = Math.min(mostSheets, Math.max(1, Math.ceil((longest - tail) / cut)));
    for (let sheet = 0; sheet < sheets; sheet++) {
      const file = `${name}.${this.language}${sheet ? `.${sheet + 1}` : ''}.png`;
      await this.#compose(join(this.folder, file), `${name} · ${this.language} · from ${sheet * cut} px`, sheet * cut, sheet < sheets - 1 ? cut : cut + tail, pictures);
      names.push(file);
    }
    return names;
  }

  async #shoot(page, width, scale) {
    // Charts and other things follow the size of the window a frame later. Frames are not reported
    // without JavaScript.
    const frames = page.evaluate(() => new Promise((done) => {
      requestAnimationFrame(() => requestAnimationFrame(() => done()));
    })).catch(() => {});
    await Promise.race([frames, setTimeout(500)]);
    const length = await page.evaluate(() => document.documentElement.scrollHeight);
    const height = Math.min(Math.max(length, screen), cut * mostSheets);
    const protocol = await this.#protocol(page);
    const { data } = await protocol.send('Page.captureScreenshot', {
      format: 'jpeg', quality: 92, optimizeForSpeed: true, captureBeyondViewport: true, clip: { x: 0, y: 0, width, height, scale },
    });
    // A page that is shorter than the window is shown to its end only.
    return { data, scale, height: Math.min(height, Math.max(length, 400)) };
  }

  async #protocol(page) {
    if (!this.sessions.has(page)) this.sessions.set(page, await page.context().newCDPSession(page));
    return this.sessions.get(page);
  }

  async #compose(path, title, from, most, pictures) {
    const cell = ([width, other]) => {
      const theme = this.themes[Number(other)];
      const { data, scale, height } = pictures.get(`${width} ${theme}`);
      const rest = Math.min(height - from, most);
      if (rest <= 0) return '';
      return `<figure><figcaption>${width} ${theme}</figcaption><div style="width:${width * scale}px;height:${rest * scale}px">
        <img src="data:image/jpeg;base64,${data}" style="margin-top:${-from * scale}px"></div></figure>`;
    };
    await this.table.setContent(`<style>
      body { margin: 8px; background: #888; font: 13px sans-serif; color: #000 }
      section { display: flex; gap: 8px; align-items: start; margin-top: 6px }
      figure { margin: 0 } div { overflow: hidden } img { display: block }
      </style><strong>${title}</strong>${layout.map((row) => `<section>${row.map(cell).join('')}</section>`).join('')}`);
    const height = await this.table.evaluate(() => Promise.all([...document.images].map((image) => image.decode())).then(() => document.documentElement.scrollHeight));
    const protocol = await this.#protocol(this.table);
    const { data } = await protocol.send('Page.captureScreenshot', {
      format: 'png', optimizeForSpeed: true, captureBeyondViewport: true, clip: { x: 0, y: 0, width: sheetWidth, height, scale: 1 },
    });
    await writeFile(path, data, 'base64');
  }
}
