// Takes contact sheets of every page and state of the console, in both languages and themes and at three
// widths, to be looked at by people: `node looks.mjs FOLDER [NAMES [LANGUAGE]]`, where NAMES is a pattern
// of the states to take. Run by `make looks`, which starts the MariaDB. See docs/development.md.
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { launch } from './lib/browser.mjs';
import { within } from './lib/wait.mjs';
import { Camera } from './looks/camera.mjs';
import { Coverage } from './looks/coverage.mjs';
import { arrive, sections } from './looks/states.mjs';
import { World } from './looks/world.mjs';

const partSize = 60;
/** How long a state may take to be read or pictured, in ms. */
const patience = 30_000;

const [folder, wanted = '', language] = process.argv.slice(2);
if (!folder) throw new Error('usage: node looks.mjs FOLDER [NAMES [LANGUAGE]]');
const languages = language ? [language] : ['en', 'zh-CN'];
await mkdir(folder, { recursive: true });
const browser = await launch();
const coverage = await Coverage.create();
/** What is known of each state, by its number: its name, and what went wrong. */
const shown = [];

async function walk(language) {
  const world = await World.create();
  const visitors = new Map();
  try {
    const camera = await Camera.create(browser, folder, language);
    const visitor = async (name) => {
      if (!visitors.has(name)) {
        visitors.set(name, await arrive(name, { browser, world, language }));
        if (language === 'en') coverage.follow(visitors.get(name).page);
      }
      return visitors.get(name);
    };
    let number = 0;
    for (const { title, states } of sections) {
      for (const { name, as, path, steps } of states(world)) {
        const file = `${String(number + 1).padStart(3, '0')}-${name}`;
        const state = (shown[number++] ??= { title, file, problems: [] });
        const failed = (error) => {
          state.problems.push(`${language}: ${error.message.split('\n')[0]}`);
          console.log(`${file} ${language}: ${error.message.split('\n').slice(0, 3).join(' | ')}`);
        };
        let present;
        try {
          present = await visitor(as);
          if (path) await present.open(path);
          for (const step of steps) await step(present, visitor);
          await present.settle();
        } catch (error) {
          failed(error);
        }
        try {
          if (language === 'en' && present) await within(coverage.read(present.page), 'the words', patience);
          if (present && new RegExp(wanted).test(file)) await within(camera.take(present.page, file), 'the sheets', patience);
        } catch (error) {
          failed(error);
        }
        if (number % partSize === 0) await report(number);
      }
    }
    await report(number);
  } finally {
    for (const { operator } of visitors.values()) await operator.context.close();
    await world.remove();
  }
}

/** Writes the list of what was taken, and reports a part that is complete in both languages. */
const walked = new Map(); // how many languages of a part
async function report(number) {
  const part = Math.ceil(number / partSize);
  walked.set(part, (walked.get(part) ?? 0) + 1);
  if (walked.get(part) === languages.length) console.log(`part ${part} is complete at ${new Date().toTimeString().slice(0, 8)}`);
  const sheets = (await readdir(folder)).filter((name) => name.endsWith('.png')).sort();
  let title;
  const lines = shown.flatMap((state, i) => {
    const head = [];
    if (i % partSize === 0) head.push(`\n# Part ${i / partSize + 1}\n`);
    if (state.title !== title || head.length) head.push(`\n## ${title = state.title}\n`);
    const own = sheets.filter((name) => name.startsWith(`${state.file}.`));
    return [...head, `- ${state.file}: ${own.join(' ')}${state.problems.map((problem) => ` — ${problem}`).join('')}`];
  });
  await writeFile(join(folder, 'LIST.md'), `${lines.join('\n')}\n`);
  await writeFile(join(folder, 'MISSING.md'), coverage.report);
}

try {
  await Promise.all(languages.map(walk));
  const failed = shown.filter(({ problems }) => problems.length);
  console.log(`${shown.length} states, ${failed.length} with problems; see LIST.md and MISSING.md`);
  process.exitCode = failed.length ? 1 : 0;
} finally {
  await browser.close();
}
