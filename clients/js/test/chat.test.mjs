// The pages of examples/chat, without a framework and with React: both do the same.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { launch } from '../../../e2e/lib/browser.mjs';
import { ChatServer, folder, Person } from './chat.mjs';
import { until, World } from './lib.mjs';

const world = World.use();
let chat;
let browser;
before(async () => {
  await until(() => world.back, 'the server'); // hooks of a file begin at the same time
  chat = await ChatServer.start(world.server, world.app);
  await world.server.stop();
  await world.server.start({ ROLLCALL_ALLOWED_ORIGINS: chat.url });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await chat?.stop();
});

test('the friend list takes under 60 lines with the hooks', async () => {
  const text = await readFile(`${folder}src/FriendList.jsx`, 'utf8');
  assert.ok(text.trimEnd().split('\n').length < 60);
});

for (const path of ['/index.html', '/react.html']) {
  test(`${path}: two people become friends, follow each other, block and part`, async () => {
    const [annID, bobID] = ['ann', 'bob'].map((name) => `${name}-${path.slice(1, -5)}`);
    const ann = await Person.arrive(browser, chat, path);
    await ann.check('the login');
    await ann.login(annID, 'Ann');
    const bob = await (await Person.arrive(browser, chat, path, { viewport: { width: 390, height: 800 }, colorScheme: 'dark' })).login(bobID, 'Bob');

    // A refused request says why; another one arrives, is cancelled, and is sent again.
    await ann.enter('Add a friend by user ID', 'stranger');
    await ann.page.getByRole('alert').filter({ hasText: 'stranger' }).waitFor();
    await ann.enter('Add a friend by user ID', bobID);
    await bob.shows('Requests', 'Ann');
    await until(async () => (await ann.page.getByRole('alert').allTextContents()).join('') === '', 'the refusal to go');
    await ann.press('Cancel the request to Bob');
    await bob.has('Requests', 0);
    await ann.enter('Add a friend by user ID', bobID);
    await bob.check('the chat with a request');
    await bob.press('Accept Ann');
    await bob.shows('Friends', 'AnnOnline');
    await ann.shows('Friends', 'BobOnline');
    await Promise.all([ann, bob].map((person) => person.has('Requests', 0)));

    // A status, by keyboard alone: the list keeps the focus while it changes.
    const friend = ann.page.getByRole('button', { name: 'Bob' });
    await friend.focus();
    await ann.page.keyboard.press('Enter');
    await ann.page.getByRole('heading', { name: 'Bob' }).waitFor();
    await bob.enter('Your status', 'at lunch');
    await ann.shows('Friends', 'BobOnline · at lunch');
    assert.equal(await friend.evaluate((button) => button === document.activeElement), true);
    assert.equal(await friend.getAttribute('aria-pressed'), 'true');

    // Names: one's own, and one's own for a friend.
    await bob.enter('Your name', 'Robert');
    await ann.shows('Friends', 'Robert');
    await ann.enter('Your own name for this friend', 'Bobby');
    await ann.shows('Friends', 'Bobby');
    await ann.page.getByText(`Robert (${bobID}), a friend since`).waitFor();
    await ann.check('the chat');

    await ann.press('Block');
    await ann.shows('Friends', 'BobbyBlocked');
    await ann.shows('Blocked', 'Robert');
    await ann.press('Unblock Robert');
    await ann.has('Blocked', 0);
    await ann.shows('Friends', 'BobbyOnline · at lunch');

    await bob.press('Log out');
    await bob.page.getByRole('button', { name: 'Log in' }).waitFor();
    await ann.shows('Friends', 'BobbyLogged out');
    await ann.press('Remove from friends');
    await ann.has('Friends', 0);
    await ann.page.getByText('Choose a friend.').waitFor();
    await ann.leave();
    await bob.leave();
  });
}
