import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, Operator } from './lib/browser.mjs';
import { adminPassword, Server } from './lib/server.mjs';

let server;
let browser;
before(async () => {
  server = await Server.create();
  await server.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.remove();
});

// Browsers have passkeys at localhost, and not at an IP address.
test('an operator adds a passkey, logs in and confirms with it, and removes it', async () => {
  const address = server.address.replace('127.0.0.1', 'localhost');
  const operator = await Operator.arrive(browser, { address, url: `http://${address}` });
  const { page, context } = operator;
  const devtools = await context.newCDPSession(page);
  await devtools.send('WebAuthn.enable');
  const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true },
  });

  await operator.login();
  await operator.open('/console/account');
  await page.getByRole('button', { name: 'Add a passkey' }).click();
  await operator.confirm();
  await page.getByLabel('Name', { exact: true }).fill('Work laptop');
  await operator.check('the form for a passkey');
  await operator.screenshot('passkey-new');
  await page.getByRole('button', { name: 'Make the passkey' }).click();
  await page.getByRole('heading', { name: 'The passkey was added' }).waitFor();
  const codes = await page.getByRole('list', { name: 'Recovery codes' }).getByRole('listitem').allInnerTexts();
  assert.equal(codes.length, 10);
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.getByRole('button', { name: 'Copy all codes' }).click();
  await page.getByRole('button', { name: 'Copied' }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), codes.join('\n'));
  await page.getByRole('link', { name: 'I have written them down' }).click();
  const row = page.getByRole('row').filter({ hasText: 'Work laptop' });
  await row.getByText('never').waitFor();
  await operator.check('an account with a passkey', ['Work', 'laptop']);

  // Alone, without name and password.
  await page.getByRole('button', { name: 'Log out' }).click();
  await operator.check('the login with a passkey');
  await page.getByRole('button', { name: 'Log in with a passkey' }).click();
  await page.waitForURL('**/console/');

  // After the password.
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.locator('#name').fill('admin');
  await page.locator('#password').fill(adminPassword);
  await page.getByRole('button', { name: 'Log in', exact: true }).click();
  await page.getByRole('heading', { name: 'Enter a code' }).waitFor();
  await page.getByRole('button', { name: 'Log in with a passkey' }).click();
  await page.waitForURL('**/console/');
  await operator.open('/console/account');
  await page.getByRole('cell', { name: 'password and passkey' }).first().waitFor();

  // A browser without the passkey says so, and the page stays.
  await operator.open('/console/account');
  await row.getByRole('link', { name: 'Remove' }).click();
  await page.getByRole('button', { name: 'Remove the passkey' }).click();
  await page.getByRole('heading', { name: 'Confirm with a code' }).waitFor();
  await devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
  await page.getByRole('button', { name: 'Confirm with a passkey' }).click();
  await page.getByRole('alert').filter({ hasText: 'The browser gave no passkey.' }).waitFor();
  await operator.check('a confirmation by a passkey');
  await devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: true });
  await page.getByRole('button', { name: 'Confirm with a passkey' }).click();
  await page.getByRole('status').filter({ hasText: 'The passkey was removed.' }).waitFor();
  assert.equal(await row.count(), 0);
  operator.errors = operator.errors.filter((error) => !error.includes('403')); // the page with the question
  await operator.leave();
});
