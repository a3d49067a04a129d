// The inbox in a real browser: with and without JavaScript, live in two tabs, and as what tells the
// device. Screenshots are kept in tests/artefacts/screens.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PHONE, accessible, signIn, visitor, whole } from './browser.mjs';
import { Server } from './harness.mjs';
import { obtainCode, register } from './oauth.mjs';

/** What one entry takes to be shown in a page that is open. */
const LIVE_MS_MAX = 5_000;

/** A box with ada on it, and her browser at `path`. */
async function atInbox(t, path = '/inbox', { args, ...options } = {}) {
  const server = await Server.start(t, { args });
  const ada = await server.person('ada');
  const page = await visitor(t, server, options);
  await page.goto(path);
  await signIn(page);
  await page.waitForURL(`**${path}`);
  return { server, ada, page };
}

/** Has `ada` allow an app of that name, which this box tells her of. */
async function connected(ada, name) {
  const client = await register(ada.server, { client_name: name });
  await obtainCode(ada, client);
}

const entry = (page, title) => page.getByRole('listitem').filter({ has: page.getByRole('heading', { name: title }) });
const button = (page, title, name) => entry(page, title).getByRole('button', { name });

describe('the inbox', () => {
  test('is empty at first and says what will be there', async (t) => {
    const { page } = await atInbox(t);
    await page.getByText('Nothing here yet.').waitFor();
    await whole(page, 'inbox-empty');
  });

  test('shows what happened, and keeps the words of others to themselves', async (t) => {
    const { ada, page } = await atInbox(t);
    await connected(ada, '**Desk** <b>& [Chair](https://evil.example)');
    await page.reload();
    const title = '**Desk** <b>& [Chair](https://evil.example) was connected';
    await entry(page, title).waitFor();
    assert.equal(await entry(page, title).locator('b, a[href*=evil]').count(), 0);
    await page.getByRole('link', { name: 'See what it may do' }).click();
    await page.waitForURL('**/account#grants');
  });

  test('is read, kept as unread, filtered and deleted without JavaScript', async (t) => {
    const { ada, page } = await atInbox(t, '/inbox', { javaScriptEnabled: false });
    for (const name of ['Desk', 'Chair', 'Lamp']) await connected(ada, name);
    await page.goto('/inbox');
    const inbox = page.getByRole('banner').getByRole('link', { name: /Inbox/ });
    const unread = async () => (await inbox.innerText()).replace(/\D+/g, '');
    const before = Number(await unread());
    assert.ok(before >= 3, `${before}`);

    await button(page, 'Desk was connected', /Mark as read/).click();
    await page.getByText('Marked as read.').waitFor();
    assert.equal(await unread(), String(before - 1));
    await page.getByRole('navigation').getByRole('link', { name: 'Unread' }).click();
    assert.equal(await entry(page, 'Desk was connected').count(), 0);
    await button(page, 'Chair was connected', /Delete/).click();
    await page.waitForURL('**/inbox?show=unread&done=removed');
    assert.equal(await entry(page, 'Chair was connected').count(), 0);
    await page.getByLabel('About').selectOption('sign-in-throttled');
    await page.getByRole('button', { name: 'Show' }).click();
    await page.getByText('Nothing here that you asked for.').waitFor();
    await page.goto('/inbox');
    await page.getByRole('button', { name: 'Mark all as read' }).click();
    await page.getByText('Everything is marked as read.').waitFor();
    assert.equal(await unread(), '');
    await button(page, 'Lamp was connected', /Mark as unread/).click();
    assert.equal(await unread(), '1');

    await page.getByRole('link', { name: 'How you are told' }).click();
    const box = page.getByLabel('A new app was connected: in the inbox');
    await box.uncheck();
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('That is how you are told from now on.').waitFor();
    assert.equal(await box.isChecked(), false);
  });

  test('works with the keyboard alone, and the focus can be seen', async (t) => {
    const { ada, page } = await atInbox(t);
    await connected(ada, 'Desk');
    await page.reload();
    const tabTo = async (locator) => {
      for (let presses = 0; presses < 40; presses++) {
        await page.keyboard.press('Tab');
        if (await locator.evaluate((element) => element === document.activeElement)) {
          assert.notEqual(await locator.evaluate((element) => getComputedStyle(element).outlineStyle), 'none', 'the focus cannot be seen');
          return;
        }
      }
      assert.fail(`not reached by Tab: ${locator}`);
    };
    await tabTo(button(page, 'Desk was connected', /Mark as read/));
    await page.keyboard.press('Enter');
    await page.getByText('Marked as read.').waitFor();
    await tabTo(button(page, 'Desk was connected', /Delete/));
    await page.keyboard.press('Enter');
    await page.getByText('The entry is deleted.').waitFor();
    assert.equal(await entry(page, 'Desk was connected').count(), 0);
  });

  for (const [name, options] of [
    ['light', {}],
    ['phone', { viewport: PHONE }],
    ['dark', { colorScheme: 'dark' }],
    ['phone-dark', { viewport: PHONE, colorScheme: 'dark' }],
  ]) {
    test(`is whole and accessible: ${name}`, async (t) => {
      const { ada, page } = await atInbox(t, '/inbox', options);
      await whole(page, `inbox-empty-${name}`);
      for (const app of ['Desk & Chair', 'W'.repeat(128)]) await connected(ada, app);
      await page.reload();
      await button(page, 'Desk & Chair was connected', /Mark as read/).click();
      await page.waitForURL('**/inbox?done=read');
      await whole(page, `inbox-${name}`);
      await page.goto('/inbox/settings');
      await whole(page, `inbox-settings-${name}`);
      await page.goto('/account');
      await whole(page, `account-inbox-${name}`);
    });
  }
});

describe('with JavaScript', () => {
  test('two tabs show at once what comes and what was read', async (t) => {
    const { ada, page } = await atInbox(t);
    const other = await page.context().newPage();
    await other.goto('/inbox');
    await connected(ada, 'Desk');
    for (const tab of [page, other]) await entry(tab, 'Desk was connected').waitFor({ timeout: LIVE_MS_MAX });
    await accessible(other);
    // The focus stays where it is although what is around it was replaced.
    const focused = button(other, 'Desk was connected', /Delete/);
    await focused.focus();
    await connected(ada, 'Chair');
    await entry(other, 'Chair was connected').waitFor({ timeout: LIVE_MS_MAX });
    assert.ok(await focused.evaluate((element) => element === document.activeElement));

    await page.getByRole('button', { name: 'Mark all as read' }).click();
    await other.getByText('Nothing unread.').waitFor({ timeout: LIVE_MS_MAX });
    assert.equal(await other.getByText('new', { exact: true }).count(), 0);
    assert.match(await other.title(), /^Inbox/);
  });

  test('a stream that broke goes on by itself, with what came meanwhile', async (t) => {
    const server = await Server.start(t);
    const ada = await server.person('ada');
    const page = await visitor(t, server);
    await page.goto('/inbox');
    await signIn(page);
    await page.getByText('Nothing here yet.').waitFor();
    await page.context().setOffline(true);
    await connected(ada, 'Desk');
    assert.equal(await entry(page, 'Desk was connected').count(), 0);
    await page.context().setOffline(false);
    await entry(page, 'Desk was connected').waitFor();
  });
});

describe('this device', () => {
  /** Where the worker of `page` is registered, as the DevTools protocol names it. */
  async function registration(page) {
    const devtools = await page.context().newCDPSession(page);
    const registered = new Promise((resolve) => {
      devtools.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => {
        if (registrations.length > 0) resolve(registrations[0]);
      });
    });
    await devtools.send('ServiceWorker.enable');
    await page.evaluate(() => navigator.serviceWorker.ready);
    const { registrationId, scopeURL } = await registered;
    const deliver = (data) =>
      devtools.send('ServiceWorker.deliverPushMessage', { origin: new URL(scopeURL).origin, registrationId, data });
    return { scopeURL, deliver };
  }

  const shown = (page) =>
    page.evaluate(async () => {
      const registration = await navigator.serviceWorker.ready;
      const notifications = await registration.getNotifications();
      return notifications.map(({ title, body, tag, icon, data, actions }) => ({ title, body, tag, icon, data, actions }));
    });

  test('shows what is pushed, opens where it leads, and marks it as read', async (t) => {
    const { server, ada, page } = await atInbox(t);
    await page.context().grantPermissions(['notifications'], { origin: server.url });
    await connected(ada, 'Desk');
    await entry(page, 'Desk was connected').waitFor();
    const id = (await entry(page, 'Desk was connected').getAttribute('id')).replace('entry-', '');
    const { scopeURL, deliver } = await registration(page);
    assert.equal(scopeURL, `${server.url}/`);
    await deliver(JSON.stringify({
      id,
      title: 'Desk was connected',
      body: 'You allowed Desk.',
      icon: 'https://evil.example/track.png',
      actions: [{ label: 'See', url: '/account' }, { label: 'Elsewhere', url: 'javascript:alert(1)' }],
      url: '/account#grants',
    }));
    const [notification] = await untilShown(page, 1);
    assert.equal(notification.title, 'Desk was connected');
    assert.equal(notification.body, 'You allowed Desk.');
    assert.equal(notification.tag, id);
    assert.equal(notification.icon, `${server.url}/assets/icon-192.png`, 'a picture from elsewhere is not asked for');
    assert.deepEqual(notification.data.links, [`${server.url}/account`, undefined]);

    // Chromium has no way to press a notification from outside, so the event is sent to the worker as
    // it would come; a window may be opened only by a real press, so where to is caught.
    const [worker] = page.context().serviceWorkers();
    const press = (action) =>
      worker.evaluate(async (action) => {
        const opened = [];
        self.clients.openWindow = async (url) => void opened.push(url);
        const [notification] = await self.registration.getNotifications();
        self.dispatchEvent(new NotificationEvent('notificationclick', { action, notification }));
        while (opened.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
        return opened[0];
      }, action);
    assert.equal(await press(''), `${server.url}/account#grants`);
    await page.getByText('Nothing unread.').waitFor({ timeout: LIVE_MS_MAX });
    assert.equal((await shown(page)).length, 0, 'it is closed');
    await deliver(JSON.stringify({ id, title: 'Again', actions: [{ label: 'Bad', url: 'http://evil.example/' }] }));
    await untilShown(page, 1);
    assert.equal(await press('0'), `${server.url}/inbox`, 'neither https nor of the box');
  });

  test('shows something even of what it cannot read', async (t) => {
    const { server, page } = await atInbox(t);
    await page.context().grantPermissions(['notifications'], { origin: server.url });
    const { deliver } = await registration(page);
    await deliver('no JSON');
    const [notification] = await untilShown(page, 1);
    assert.equal(notification.title, 'This box has something for you');
  });

  /** What is shown, once it is `count` notifications. */
  async function untilShown(page, count) {
    for (let tries = 0; tries < LIVE_MS_MAX / 50; tries++) {
      const notifications = await shown(page);
      if (notifications.length === count) return notifications;
      await page.waitForTimeout(50);
    }
    return assert.fail(`expected ${count} notifications`);
  }
});
