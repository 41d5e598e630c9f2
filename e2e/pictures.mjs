// Takes the screenshots of the console for the README and docs, of an invented app with a history.
// Run by `make pictures`, which starts the MariaDB that the history is written to.
import { fileURLToPath } from 'node:url';
import { AppServer } from './lib/api.mjs';
import { launch, Operator } from './lib/browser.mjs';
import { createMariaDB } from './lib/databases.mjs';
import { writePast } from './lib/past.mjs';
import { Redis } from './lib/redis.mjs';
import { Server } from './lib/server.mjs';
import { Connection } from './lib/socket.mjs';
import { until } from './lib/wait.mjs';

/** The newest users, and the platforms of their devices. */
const people = [
  ['wang.xiaoming', '王小明', 'ANDROID'], ['hannah.berg', 'Hannah Berg', 'IOS'], ['diego.r', 'Diego Ramírez'],
  ['priya.nair', 'Priya Nair', 'WEB'], ['tomasz', 'Tomasz Zieliński', 'WINDOWS'], ['omar.haddad', 'Omar Haddad'],
  ['lena.fischer', 'Lena Fischer', 'IOS', 'WEB'], ['sofia.rossi', 'Sofia Rossi', 'ANDROID'], ['jonas.weber', 'Jonas Weber'],
  ['amara.okafor', 'Amara Okafor', 'WEB'], ['yuki.tanaka', 'Yuki Tanaka', 'HARMONYOS'], ['ines.duarte', 'Inês Duarte', 'MACOS'],
];
const seeded = 5200;
const crowd = 140;

const server = await Server.create(createMariaDB);
const redis = await Redis.start();
const other = await server.beside();
const devices = [];
const browser = await launch();
try {
  const made = await server.createApp({ name: 'Harbour Chat', environment: 'production', edition: 'standard' });
  await server.command('seed', '--app', made.key, '--users', String(seeded), '--friends', '20');
  await server.start({ ROLLCALL_REDIS_URL: redis.url });
  await other.start({ ROLLCALL_REDIS_URL: redis.url });
  const app = await AppServer.login(server, made);
  const connect = async (token, platform, node = server) => devices.push(await Connection.open(node, token, platform));

  for (let n = 0; n < crowd; n++) await connect(await app.register(`crew-${n}`), 'ANDROID', n % 3 ? server : other);
  for (const [id, name, ...platforms] of people.toReversed()) {
    const token = await app.register(id, name);
    for (const platform of platforms) await connect(token, platform);
    if (id === 'diego.r') await (await Connection.open(server, token)).close();
    if (id === 'lena.fischer') await devices.at(-1).request('mutation { setStatus(input: {customStatus: "On the night train"}) { status { presence } } }');
  }
  await writePast(server.database, made.key);

  for (const [friendId, remark] of [['amara.okafor', 'from the rowing club'], ['wang.xiaoming', '同事']]) {
    const input = { userId: 'lena.fischer', friendId, remark };
    await app.send('mutation ($input: AddFriendInput!) { addFriend(input: $input) { created } }', { input });
  }
  await app.send('mutation { addToBlocklist(input: { userId: "lena.fischer", targetIds: ["omar.haddad"] }) { results { outcome } } }');
  const ids = ['jonas.weber', ...Array.from({ length: 6 }, (_, n) => `user-${String(n + 4711).padStart(7, '0')}`)];
  const input = { userIds: ids, minutes: 1440, reason: 'Advertising in every room' };
  await app.send('mutation ($input: BanUsersInput!) { banUsers(input: $input) { results { outcome } } }', { input });
  await app.send('mutation ($ids: [ID!]!) { deactivateUsers(input: {userIds: $ids}) { results { outcome } } }', {
    ids: Array.from({ length: 23 }, (_, n) => `user-${String(n * 87 + 12).padStart(7, '0')}`),
  });

  const root = `/console/apps/${made.key}`;
  const picture = async ({ page }, name, height) => {
    await page.setViewportSize({ ...page.viewportSize(), height });
    await page.mouse.move(0, 0); // on nothing that changes when hovered
    await page.evaluate(() => scrollTo(0, 0)); // a field that was filled in may have moved the page
    await page.screenshot({ path: fileURLToPath(new URL(`../docs/console-${name}.png`, import.meta.url)) });
  };
  const drawn = ({ page }) => until(async () => (await page.locator('.plot canvas').count()) === 4, 'the charts');

  const desk = await Operator.arrive(browser, server);
  await desk.login();
  await desk.open(root);
  await drawn(desk);
  await picture(desk, 'overview', 1000);
  await desk.open(`${root}/users`);
  await picture(desk, 'users', 860);
  await desk.open(`${root}/users/lena.fischer`);
  await picture(desk, 'user', 860);
  await desk.open(`${root}/permission?from=omar.haddad&to=lena.fischer`);
  await picture(desk, 'permission', 780);
  await desk.open(`${root}/users/hannah.berg/ban`);
  await desk.page.getByLabel('3 hours').check();
  await desk.page.getByLabel('Reason').fill('Insults in the harbour room');
  await picture(desk, 'ban', 960);
  await desk.open(`${root}/users/tomasz/deactivate`);
  await desk.page.getByRole('button', { name: 'Erase and deactivate' }).click();
  await desk.confirm();
  await desk.page.getByRole('heading', { name: 'Certificate' }).waitFor();
  await picture(desk, 'certificate', 1200);

  const phone = await Operator.arrive(browser, server, {
    colorScheme: 'dark', locale: 'zh-CN', deviceScaleFactor: 1.5, viewport: { width: 390, height: 844 },
  });
  await phone.login();
  await phone.open(root);
  await drawn(phone);
  await picture(phone, 'phone', 844);
  await phone.leave();

  await other.kill();
  redis.process.kill('SIGSTOP');
  const named = async () => {
    await desk.open(root);
    const count = (selector) => desk.page.locator(selector).count();
    return (await count('.away .notice')) === 2 && (await count('.part-LOST')) === 1;
  };
  await until(named, 'the console to name what is away');
  await picture(desk, 'incident', 1020);
  await desk.leave();
} finally {
  await browser.close();
  redis.process.kill('SIGCONT');
  await Promise.allSettled(devices.map((device) => device.close()));
  await other.remove();
  await server.remove();
  await redis.remove();
}
