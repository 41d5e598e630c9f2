import { readFile } from 'node:fs/promises';

const texts = async (language) =>
  JSON.parse(await readFile(new URL(`../../console/locales/${language}.json`, import.meta.url), 'utf8'));
const [english, chinese] = await Promise.all([texts('en'), texts('zh-CN')]);

const wordsOf = (text) => text.match(/[A-Za-z]{2,}/g) ?? [];

/** The words in Latin letters in the Chinese texts, such as App Key. */
const shared = new Set(Object.values(chinese).flatMap(wordsOf));

/**
 * Returns the page's own words, and the data that users or operators have entered. IDs and names are
 * marked up as code and bdi, or are options and values of fields. Runs in the browser.
 */
function readPage() {
  const own = [];
  const data = [decodeURIComponent(location.href)];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    if (node.nodeType === Node.TEXT_NODE) {
      if (node.parentElement.closest('script, noscript, [lang]:not(html)')) continue;
      const others = node.parentElement.closest('code, bdi, time, select[name="app"]');
      (others ? data : own).push(node.textContent);
      continue;
    }
    if (node.closest('[lang]:not(html)')) continue;
    if ('value' in node) data.push(String(node.value));
    for (const name of ['aria-label', 'title', 'placeholder', 'alt', 'data-label', 'data-announce']) {
      if (node.hasAttribute(name) && node.tagName !== 'TIME') own.push(node.getAttribute(name));
    }
  }
  return { own: own.join('\n'), data: data.join('\n') };
}

/** Returns the words on the page that are not of the page's language; `names` are data of the test. */
export async function foreignWords(page, names = []) {
  const language = await page.locator('html').getAttribute('lang');
  const { own, data } = await page.evaluate(readPage);
  const keys = (own.match(/[a-z]+(?:[.][A-Za-z_-]+)+/g) ?? []).filter((key) => key in english);
  if (language === 'en') return [...keys, ...(own.match(/[\u3400-\u9fff]+/g) ?? [])];
  const known = new Set([...wordsOf(data), ...names.flatMap(wordsOf)]);
  return [...keys, ...wordsOf(own).filter((word) => !shared.has(word) && !known.has(word))];
}
