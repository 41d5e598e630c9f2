// Takes the pictures of examples/chat for the README. Run by `make pictures`.
import { fileURLToPath } from 'node:url';
import { AppServer } from '../../../e2e/lib/api.mjs';
import { launch } from '../../../e2e/lib/browser.mjs';
import { Server } from '../../../e2e/lib/server.mjs';
import { ChatServer, Person } from '../test/chat.mjs';

const people = [
  ['sofia.rossi', 'Sofia Rossi'], ['hannah.berg', 'Hannah Berg', ''], ['diego.r', 'Diego Ramírez', 'On the night train'], ['priya.nair', 'Priya Nair'],
  ['tomasz', 'Tomasz Zieliński', ''], ['amara.okafor', 'Amara Okafor', 'At lunch until one'], ['jonas.weber', 'Jonas Weber'],
];

const server = await Server.create();
const browser = await launch();
let chat;
try {
  const app = await server.createApp({ environment: 'production', statusQueryEnabled: true });
  await server.start();
  chat = await ChatServer.start(server, app);
  await server.stop();
  await server.start({ ROLLCALL_ALLOWED_ORIGINS: chat.url });
  const back = await AppServer.login(server, app);
  const call = (name, input) => back.send(`mutation { ${name}(input: ${input}) { __typename } }`);

  await back.register('lena.fischer', 'Lena Fischer');
  const others = [];
  for (const [id, name, text] of people) {
    await back.register(id, name);
    await call('addFriend', `{userId: "lena.fischer", friendId: "${id}"${id === 'amara.okafor' ? ', remark: "Amara (rowing club)"' : ''}}`);
    if (text === undefined) continue;
    const other = await (await Person.arrive(browser, chat, '/react.html')).login(id, name);
    if (text) await other.enter('Your status', text);
    others.push(other);
  }
  await back.register('ines.duarte', 'Inês Duarte');
  await back.register('omar.haddad', 'Omar Haddad');
  await back.register('yuki.tanaka', 'Yuki Tanaka');
  await call('sendFriendRequest', '{userId: "ines.duarte", targetId: "lena.fischer", message: "We met at the harbour"}');
  await call('sendFriendRequest', '{userId: "lena.fischer", targetId: "yuki.tanaka"}');
  await call('addToBlocklist', '{userId: "lena.fischer", targetIds: ["omar.haddad"]}');

  const picture = async (name, path, options) => {
    const lena = await (await Person.arrive(browser, chat, path, options)).login('lena.fischer', 'Lena Fischer');
    await lena.shows('Friends', 'Online · At lunch until one');
    await lena.shows('Friends', 'Online · On the night train');
    await lena.page.getByRole('button', { name: 'Amara' }).click();
    await lena.page.getByRole('heading', { name: 'Amara (rowing club)' }).waitFor();
    await lena.shows('Requests', 'We met at the harbour');
    await lena.page.mouse.move(0, 0);
    await lena.page.evaluate('document.activeElement.blur()');
    await lena.page.screenshot({ path: fileURLToPath(new URL(`../${name}.png`, import.meta.url)) });
    await lena.leave();
  };
  await picture('chat', '/react.html', { viewport: { width: 1060, height: 940 } });
  await picture('chat-phone', '/index.html', { viewport: { width: 390, height: 844 }, colorScheme: 'dark', deviceScaleFactor: 1.5 });
  await Promise.all(others.map((other) => other.leave()));
} finally {
  await browser.close();
  await chat?.stop();
  await server.remove();
}
