import { readFile } from 'node:fs/promises';

const source = (path) => readFile(new URL(`../../console/${path}`, import.meta.url), 'utf8');
const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/**
 * Which routes and messages of the console were shown. Both are read from the source: a route is shown
 * when a page or a form was requested from it, and a message when its text was on a page.
 */
export class Coverage {
  static async create() {
    const coverage = new Coverage();
    const routes = (await source('routes.go')).matchAll(/^\t\{"(GET|POST) (\/console\/\S*)", (\w+)/gm);
    coverage.routes = new Map([...routes].map(([, method, path, access]) => [
      `${method} ${path}`,
      // Polls are parts of pages, and files are not pages.
      !access.startsWith('polls') && !/\/find$|\.(csv|ndjson|json)$/.test(path)
        && new RegExp(`^${method} ${escaped(path).replace('\\{\\$\\}', '').replaceAll(/\\\{\w+\\\}/g, '[^/]+')}$`),
    ]).filter(([, pattern]) => pattern));
    const messages = Object.entries(JSON.parse(await source('locales/en.json')));
    coverage.messages = new Map(messages.map(([key, text]) => [
      key, new RegExp(escaped(text).replaceAll(/\\\{\w+\\\}/g, '[^\\n]*?')),
    ]));
    return coverage;
  }

  /** Notes the requests of a page. */
  follow(page) {
    page.on('request', (request) => {
      if (request.isNavigationRequest()) this.#note(this.routes, `${request.method()} ${new URL(request.url()).pathname}`);
    });
  }

  /** Notes the messages of an English page. */
  async read(page) {
    const text = await page.evaluate(() => {
      const names = ['aria-label', 'placeholder', 'title', 'alt'];
      const marked = [...document.querySelectorAll(names.map((name) => `[${name}]`))];
      return [document.body.innerText, ...marked.flatMap((node) => names.map((name) => node.getAttribute(name) ?? '')),
        ...[...document.querySelectorAll('option')].map((option) => option.text)].join('\n');
    });
    this.#note(this.messages, text);
  }

  #note(all, text) {
    for (const [key, pattern] of all) if (pattern.test(text)) all.delete(key);
  }

  /** What was not shown, as Markdown. */
  get report() {
    const list = (title, all) => `## ${title} that no state has shown: ${all.size}\n\n${[...all.keys()].map((key) => `- ${key}\n`).join('')}`;
    return `${list('Routes', this.routes)}\n${list('Messages', this.messages)}`;
  }
}
