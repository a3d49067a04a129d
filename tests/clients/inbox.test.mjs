// The inbox in a real browser: with and without JavaScript, live in two tabs, and as what tells the
// device. Screenshots are kept in tests/artefacts/screens.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PHONE, accessible, signIn, visitor, whole } from './browser.mjs';
import { Server, keystead, soon } from './harness.mjs';
import { obtainTokens, register } from './oauth.mjs';
import { PushService } from './push_service.mjs';

/** What one entry takes to be shown in a page that is open. */
const LIVE_MS_MAX = 30_000;
/** What it takes until a page notices that its session is over. */
const SIGNED_OUT_MS_MAX = 60_000;
/** What a clock in Kathmandu is ahead of UTC: a zone that no machine of ours is in. */
const KATHMANDU_MS = (5 * 60 + 45) * 60_000;
/** So long does nobody look at a page whose stream may be dead. */
const AWAY_MS = 120_000;

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

/** An app of that name that may tell `ada` things, and how it does. */
async function speaker(ada, name = 'Desk & Chair') {
  const client = await register(ada.server, { client_name: name });
  const scope = 'notifications:write';
  const tokens = await obtainTokens(ada, client, { scope, resource: ada.server.url });
  return async (title, more = {}) => {
    const response = await fetch(`${ada.server.url}/api/v2/notifications/custom`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${tokens.access_token}` },
      body: JSON.stringify({ title, content: '', ...more }),
    });
    const text = await response.text();
    assert.equal(response.status, 201, text);
    return JSON.parse(text).id;
  };
}

/** What an app may say at its longest, and all the Markdown that it may say it in. */
const RICH = `The **nightly** backup took *two* minutes; \`keystead check\` found [nothing wrong](/account) and [the report](https://reports.example/2026/11/22?full=1) has more.

1. 12,480 records
2. 3 indexes
   - none stale

\`\`\`
$ keystead check --data /srv/keystead --a-very-long-flag=${'long'.repeat(30)}
\`\`\`

<img src=x onerror=alert(1)> ![a picture](https://evil.example/x.png) [a trap](javascript:alert(1))`;

const entry = (page, title) => page.getByRole('listitem').filter({ has: page.locator('h2').getByText(title, { exact: true }) });
const button = (page, title, name) => entry(page, title).getByRole('button', { name });

describe('the inbox', () => {
  test('is empty at first and says what will be there', async (t) => {
    const { page } = await atInbox(t);
    await page.getByText('Nothing here yet.').waitFor();
    await whole(page, 'inbox-empty');
  });

  test('shows what an app says, and keeps its words to themselves', async (t) => {
    const { ada, page } = await atInbox(t);
    const tell = await speaker(ada, '</bdi><script>alert(1)</script>');
    const title = '**Done** <b>& [Chair](https://evil.example)';
    await tell(title, { content: RICH, actions: [{ label: 'Read the report', url: 'https://reports.example/' }, { label: 'Your account', url: '/account' }] });
    await page.reload();
    await entry(page, title).waitFor();
    assert.equal(await page.locator('#entries').locator('img, b, script, [onerror], a[href*=evil], a[href^=javascript]').count(), 0);
    assert.ok((await entry(page, title).innerText()).includes('<img src=x onerror=alert(1)> a picture a trap'));
    const account = entry(page, title).getByRole('link', { name: 'Your account' });
    await account.click({ button: 'middle' });
    await button(page, title, /Mark as unread/).waitFor({ timeout: LIVE_MS_MAX });
    await account.click();
    await page.waitForURL('**/account');
  });

  test('is read, kept as unread, filtered and deleted without JavaScript', async (t) => {
    const { ada, page } = await atInbox(t, '/inbox', { javaScriptEnabled: false });
    const tell = await speaker(ada);
    for (const title of ['First', 'Second', 'Third']) await tell(title);
    await page.goto('/inbox');
    const inbox = page.getByRole('banner').getByRole('link', { name: /Inbox/ });
    const unread = async () => Number((await inbox.innerText()).replace(/\D+/g, ''));
    const before = await unread();
    assert.ok(before >= 3, `${before}`);

    await button(page, 'First', /Mark as read/).click();
    await page.getByText('Marked as read.').waitFor();
    assert.equal(await unread(), before - 1);
    await page.getByRole('navigation').getByRole('link', { name: 'Unread' }).click();
    assert.equal(await entry(page, 'First').count(), 0);
    await button(page, 'Second', /Delete/).click();
    await page.waitForURL('**/inbox?show=unread&done=removed');
    assert.equal(await entry(page, 'Second').count(), 0);
    await page.getByLabel('About').selectOption('sign-in-throttled');
    await page.getByRole('button', { name: 'Show' }).click();
    await page.getByText('No entry is what you chose.').waitFor();
    await page.goto('/inbox');
    await page.getByRole('button', { name: 'Mark all as read' }).click();
    await page.getByText('Everything is marked as read.').waitFor();
    assert.equal(await unread(), 0);
    await button(page, 'Third', /Mark as unread/).click();
    await page.getByText('Marked as unread.').waitFor();
    assert.equal(await unread(), 1);
  });

  test('lets its reader choose what they hear, and from whom, without JavaScript', async (t) => {
    const { ada, page } = await atInbox(t, '/inbox', { javaScriptEnabled: false });
    const tell = await speaker(ada);
    await tell('Before');
    await page.goto('/inbox');
    await button(page, 'Before', /Mute this app/).click();
    await page.getByText('The app is muted').waitFor();
    await tell('While muted');
    await page.getByRole('link', { name: 'How you are told' }).click();
    await page.getByRole('button', { name: /Let it speak/ }).click();
    await page.getByText('The app can tell you things again.').waitFor();
    const box = page.getByLabel('What apps tell you: in the inbox');
    const devices = page.getByLabel('What apps tell you: on your devices');
    for (const each of [box, devices]) await each.uncheck();
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('That is how you are told from now on.').waitFor();
    assert.equal(await box.isChecked(), false);
    await tell('While switched off');
    await box.check();
    await page.getByRole('button', { name: 'Save' }).click();
    await tell('After');
    await page.goto('/inbox');
    await entry(page, 'After').waitFor();
    for (const title of ['While muted', 'While switched off']) assert.equal(await entry(page, title).count(), 0, title);
  });

  test('works with the keyboard alone, and the focus can be seen', async (t) => {
    const { ada, page } = await atInbox(t);
    const tell = await speaker(ada);
    await tell('Desk');
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
    await tabTo(button(page, 'Desk', /Mark as read/));
    await page.keyboard.press('Enter');
    await page.getByText('Marked as read.').waitFor();
    await tabTo(button(page, 'Desk', /Delete/));
    await page.keyboard.press('Enter');
    await page.getByText('The entry is deleted.').waitFor();
    assert.equal(await entry(page, 'Desk').count(), 0);
  });

  test('shows which filter is chosen where the device has colours of its own', async (t) => {
    const { page } = await atInbox(t, '/inbox', { forcedColors: 'active' });
    const filters = page.getByRole('navigation', { name: 'Which entries' });
    const ink = (name) => filters.getByRole('link', { name }).evaluate((link) => getComputedStyle(link).color);
    assert.notEqual(await ink('All'), await ink('Unread'));
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
      const [tell, shout] = [await speaker(ada), await speaker(ada, 'W'.repeat(128))];
      await tell('Backup done', { content: RICH, actions: [{ label: 'Read the report', url: 'https://reports.example/' }] });
      await tell('Lamp is on');
      await shout('W'.repeat(200), { content: 'W'.repeat(400), actions: [{ label: 'W'.repeat(64), url: '/account' }] });
      await page.reload();
      await button(page, 'Lamp is on', /Mark as read/).click();
      await page.getByText('Marked as read.').waitFor();
      await whole(page, `inbox-${name}`);
      await page.goto('/inbox/settings');
      await whole(page, `inbox-settings-${name}`);
    });
  }
});

describe('with JavaScript', () => {
  test('two tabs show at once what comes and what was read', async (t) => {
    const { ada, page } = await atInbox(t);
    const other = await page.context().newPage();
    await other.goto('/inbox');
    const tell = await speaker(ada);
    await tell('Desk');
    for (const tab of [page, other]) await entry(tab, 'Desk').waitFor({ timeout: LIVE_MS_MAX });
    await accessible(other);
    // The focus stays where it is although what is around it was replaced.
    const focused = button(other, 'Desk', /Delete/);
    await focused.focus();
    await tell('Chair');
    await entry(other, 'Chair').waitFor({ timeout: LIVE_MS_MAX });
    assert.ok(await focused.evaluate((element) => element === document.activeElement));

    await page.getByRole('button', { name: 'Mark all as read' }).click();
    await other.getByText('Nothing unread.').waitFor({ timeout: LIVE_MS_MAX });
    assert.equal(await other.getByText('new', { exact: true }).count(), 0);
    assert.match(await other.title(), /^Inbox/);
  });

  test('a stream that broke goes on by itself, with what came meanwhile', async (t) => {
    const { ada, page } = await atInbox(t);
    const tell = await speaker(ada);
    const streams = [];
    await page.routeWebSocket('**/inbox/watch', (stream) => {
      stream.connectToServer();
      streams.push(stream);
    });
    await page.goto('/inbox');
    await tell('Before');
    await entry(page, 'Before').waitFor({ timeout: LIVE_MS_MAX });
    // As a box that stops closes it (RFC 6455 §7.4.1).
    await streams[0].close({ code: 1001 });
    await tell('Meanwhile');
    await entry(page, 'Meanwhile').waitFor({ timeout: LIVE_MS_MAX });
    assert.equal(streams.length, 2);
  });

  /** A page of `count` entries, so long that it scrolls, and how its app says more. */
  async function atLongInbox(t, count) {
    const { ada, page, ...rest } = await atInbox(t);
    const tell = await speaker(ada);
    for (let number = 1; number <= count; number++) await tell(`Job ${number}`);
    await page.reload();
    await entry(page, `Job ${count}`).waitFor();
    return { ada, page, tell, ...rest };
  }

  /** How far below the top of the window an entry is. */
  const topOf = (page, title) => entry(page, title).evaluate((element) => Math.round(element.getBoundingClientRect().top));
  const hasFocus = (locator) => locator.evaluate((element) => element === document.activeElement);

  test('what is read stays where it is when something comes above it, and so does what is selected', async (t) => {
    const { page, tell } = await atLongInbox(t, 12);
    await page.evaluate(() => scrollTo(0, 900));
    const [title, top] = await page.evaluate(() => {
      const seen = [...document.querySelectorAll('.entry')].find((one) => one.getBoundingClientRect().top > 0);
      const words = seen.querySelector('h2 bdi');
      getSelection().selectAllChildren(words);
      return [words.textContent, Math.round(seen.getBoundingClientRect().top)];
    });
    await tell('Above');
    await entry(page, 'Above').waitFor({ timeout: LIVE_MS_MAX });
    assert.equal(await topOf(page, title), top);
    assert.equal(await page.evaluate(() => String(getSelection())), title);
    // Who is at the top sees what comes.
    await page.evaluate(() => scrollTo(0, 0));
    await tell('Also above');
    await entry(page, 'Also above').waitFor({ timeout: LIVE_MS_MAX });
    assert.equal(await page.evaluate(() => scrollY), 0);
  });

  test('a button does its work where the reader is, and says so', async (t) => {
    const { page } = await atLongInbox(t, 12);
    const [marked, deleted] = ['Job 4', 'Job 3'];
    await button(page, marked, /Mark as read/).focus();
    const before = await topOf(page, marked);
    await page.keyboard.press('Enter');
    await button(page, marked, /Mark as unread/).waitFor();
    assert.ok(await hasFocus(button(page, marked, /Mark as unread/)), 'the focus is at the button that took its place');
    assert.equal(await topOf(page, marked), before);
    assert.equal(await page.getByRole('status').filter({ hasText: 'Marked as read.' }).count(), 1);
    await button(page, deleted, /Delete/).focus();
    await page.keyboard.press('Enter');
    await entry(page, deleted).waitFor({ state: 'detached' });
    await page.getByText('The entry is deleted.').waitFor();
    assert.ok(await hasFocus(entry(page, 'Job 2')), 'the focus is at the entry that took its place');
    assert.equal(new URL(page.url()).search, '');
    await button(page, 'Job 2', /Mute this app/).focus();
    await page.keyboard.press('Enter');
    await page.getByText('The app is muted').waitFor();
    assert.ok(await hasFocus(entry(page, 'Job 2')), 'the focus is at no button that does something else');
    await page.getByRole('button', { name: 'Mark all as read' }).click();
    await page.getByText('Everything is marked as read.').waitFor();
    assert.ok(await hasFocus(page.getByRole('link', { name: 'All', exact: true })));
    await accessible(page);
    await page.goto('/inbox?done=removed');
    await page.getByText('The entry is deleted.').waitFor();
    await page.reload();
    assert.equal(await page.getByText('The entry is deleted.').count(), 0, 'it is not said again');
  });

  test('an entry that is deleted in another tab leaves the focus in its place', async (t) => {
    const { page } = await atLongInbox(t, 3);
    const other = await page.context().newPage();
    await other.goto('/inbox');
    for (const [title, heir] of [['Job 3', entry(page, 'Job 2')], ['Job 2', entry(page, 'Job 1')]]) {
      await button(page, title, /Delete/).focus();
      await button(other, title, /Delete/).click();
      await entry(page, title).waitFor({ state: 'detached', timeout: LIVE_MS_MAX });
      assert.ok(await hasFocus(heir), title);
    }
  });

  test('a filter that is being chosen is left alone', async (t) => {
    const { page, tell } = await atLongInbox(t, 1);
    const about = page.getByLabel('About');
    await about.focus();
    await about.selectOption('custom');
    await tell('Meanwhile');
    await entry(page, 'Meanwhile').waitFor({ timeout: LIVE_MS_MAX });
    assert.equal(await about.inputValue(), 'custom');
    assert.ok(await hasFocus(about));
  });

  test('times are those of the device, also of what comes', async (t) => {
    const { ada, page } = await atInbox(t, '/inbox', { timezoneId: 'Asia/Kathmandu' });
    const tell = await speaker(ada);
    await tell('Desk');
    await entry(page, 'Desk').waitFor({ timeout: LIVE_MS_MAX });
    const time = entry(page, 'Desk').locator('time');
    const instant = new Date(await time.getAttribute('datetime'));
    const there = new Date(instant.getTime() + KATHMANDU_MS).toISOString().slice(0, 16).replace('T', ' ');
    assert.equal(await time.innerText(), there);
    const here = instant.toISOString().slice(0, 16).replace('T', ' ');
    assert.equal(await time.getAttribute('title'), `${here} UTC`);
  });

  test('whoever looks at it again after a while has another stream', async (t) => {
    const { page } = await atInbox(t);
    const streams = [];
    await page.routeWebSocket('**/inbox/watch', (stream) => {
      stream.connectToServer();
      streams.push(stream);
    });
    await page.clock.install();
    await page.goto('/inbox');
    await soon(() => streams.length === 1, 'a stream');
    const look = (hidden) =>
      page.evaluate((hidden) => {
        Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event('visibilitychange'));
      }, hidden);
    await look(true);
    await page.clock.fastForward(AWAY_MS);
    await look(false);
    await soon(() => streams.length === 2, 'another stream');
    await look(true);
    await look(false);
    assert.equal(streams.length, 2, 'a glance away is none');
  });

  test('a page that is open when the box becomes another release is loaded again', async (t) => {
    const { ada, page } = await atInbox(t);
    const tell = await speaker(ada);
    await soon(() => entry(page, 'Desk & Chair was connected').isVisible(), 'what came before');
    // As a later release answers it: with another script.
    let answered = 0;
    await page.route('**/inbox', async (route) => {
      if (route.request().isNavigationRequest()) return route.continue();
      const response = await route.fetch();
      answered += 1;
      return route.fulfill({ response, body: (await response.text()).replace(/inbox\.[^.]+\.js/, 'inbox.later.js') });
    });
    const loaded = page.waitForEvent('load');
    await tell('Desk');
    await loaded;
    assert.equal(answered, 1);
    await page.unrouteAll({ behavior: 'ignoreErrors' });
  });

  test('a page of somebody who is no longer the one who is signed in is loaded again', async (t) => {
    const { server, page } = await atInbox(t);
    const bob = await server.person('bob', { owner: false });
    await bob.signIn();
    const cookies = [...bob.cookies].map(([name, value]) => ({ name, value, url: server.url, httpOnly: true, sameSite: 'Lax' }));
    await page.context().addCookies(cookies);
    const { code, stderr } = await keystead(['notify', 'ada', '--data', server.data, '--title', 'For ada']);
    assert.equal(code, 0, stderr);
    await page.getByText('Signed in as bob').waitFor({ timeout: LIVE_MS_MAX });
    assert.equal(await entry(page, 'For ada').count(), 0);
  });

  test('who signs out takes the number off the icon, and who was signed out is asked to sign in by any button', async (t) => {
    const { ada, page } = await atInbox(t);
    const tell = await speaker(ada);
    await tell('Desk');
    await page.addInitScript(() => {
      const numbers = (number) => sessionStorage.setItem('numbers', `${sessionStorage.getItem('numbers') ?? ''} ${number}`);
      navigator.setAppBadge = async (number) => numbers(number);
      navigator.clearAppBadge = async () => numbers('none');
    });
    await page.goto('/inbox');
    const numbers = () => page.evaluate(() => sessionStorage.getItem('numbers') ?? '');
    await soon(async () => /\d$/.test(await numbers()), 'a number on the icon');
    const session = await page.context().cookies();
    await page.context().clearCookies();
    await button(page, 'Desk', /Delete/).click();
    await page.waitForURL('**/sign-in?**');
    await page.context().addCookies(session);
    await page.goto('/inbox');
    await soon(async () => /\d$/.test(await numbers()), 'the number again');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL((url) => url.pathname !== '/inbox');
    assert.match(await numbers(), / none$/);
  });

  test('somebody who is signed out meanwhile is asked to sign in', async (t) => {
    const { page } = await atInbox(t);
    const other = await page.context().newPage();
    await other.goto('/inbox');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await other.waitForURL('**/sign-in?**', { timeout: SIGNED_OUT_MS_MAX });
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
    const [worker] = page.context().serviceWorkers();
    await worker.evaluate(() => {
      const { showNotification } = ServiceWorkerRegistration.prototype;
      self.shows = 0;
      ServiceWorkerRegistration.prototype.showNotification = async function (...about) {
        await showNotification.apply(this, about);
        self.shows += 1;
      };
    });
    // Chromium forgets a notification about which it is asked while it puts it up, so nobody asks before.
    const deliver = async (data) => {
      const before = await worker.evaluate(() => self.shows);
      await devtools.send('ServiceWorker.deliverPushMessage', { origin: new URL(scopeURL).origin, registrationId, data });
      await soon(async () => (await worker.evaluate(() => self.shows)) > before, 'a notification');
    };
    return { worker, scopeURL, deliver };
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
    const tell = await speaker(ada);
    const id = await tell('Desk');
    const { worker, scopeURL, deliver } = await registration(page);
    assert.equal(scopeURL, `${server.url}/`);
    // Where Chromium runs without a desktop, no icon shows a number.
    await worker.evaluate(() => {
      self.numbers = [];
      WorkerNavigator.prototype.setAppBadge = async (number) => self.numbers.push(number);
    });
    await deliver(JSON.stringify({
      id,
      title: 'Desk',
      body: 'It is there.',
      icon: 'https://evil.example/track.png',
      actions: [{ label: 'See', url: '/account' }, { label: 'Elsewhere', url: 'javascript:alert(1)' }],
      url: '/account#grants',
    }));
    const [notification] = await untilShown(page, 1);
    assert.equal(notification.title, 'Desk');
    assert.equal(notification.body, 'It is there.');
    assert.equal(notification.tag, id);
    assert.equal(notification.icon, `${server.url}/assets/icon-192.png`, 'a picture from elsewhere is not asked for');
    assert.deepEqual(notification.data.links, [`${server.url}/account`, undefined]);

    // Chromium has no way to press a notification from outside, so the event is sent to the worker as
    // it would come; a window may be opened only by a real press, so where to is caught.
    const press = (action) =>
      worker.evaluate(async (action) => {
        const [notification] = await self.registration.getNotifications();
        return new Promise((resolve) => {
          self.clients.openWindow = async (url) => resolve(['opened', url]);
          WindowClient.prototype.focus = async function () {
            resolve(['focused', this.url]);
          };
          self.dispatchEvent(new NotificationEvent('notificationclick', { action, notification }));
        });
      }, action);
    assert.deepEqual(await press(''), ['opened', `${server.url}/account#grants`]);
    await button(page, 'Desk', /Mark as unread/).waitFor({ timeout: LIVE_MS_MAX });
    assert.equal((await shown(page)).length, 0, 'it is closed');
    await soon(async () => (await worker.evaluate(() => self.numbers)).length === 2, 'two numbers on the icon');
    const [pushed, pressed] = await worker.evaluate(() => self.numbers);
    assert.equal(pressed, pushed - 1, 'as many as wait, and one fewer once it is read');
    // Another entry: Chromium forgets a closed notification a while later, and with it one that has taken its tag.
    await deliver(JSON.stringify({ id: 'another', title: 'Again', actions: [{ label: 'Bad', url: 'http://evil.example/' }] }));
    await untilShown(page, 1);
    assert.deepEqual(await press('0'), ['focused', `${server.url}/inbox`], 'neither https nor of the box');
  });

  test('shows something even of what it cannot read', async (t) => {
    const { server, page } = await atInbox(t);
    await page.context().grantPermissions(['notifications'], { origin: server.url });
    const { deliver } = await registration(page);
    await deliver('no JSON');
    const [notification] = await untilShown(page, 1);
    assert.equal(notification.title, 'This box has something for you');
  });

  /**
   * A box that pushes to `service`, and ada's browser at her settings. Chromium subscribes with its
   * vendor only, so what it would hand the page is made here; all that the page does with it is real.
   */
  async function atSettings(t, { permissions = ['notifications'], ...options } = {}) {
    const service = await PushService.start(t);
    const server = await Server.start(t, { args: service.args });
    await server.person('ada');
    const page = await visitor(t, server, options);
    await page.context().grantPermissions(permissions, { origin: server.url });
    const { endpoint, auth_key: auth, p256dh_key: p256dh } = service.browser('/push/ada');
    await page.addInitScript(
      ({ endpoint, keys }) => {
        const bytes = (text) => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (one) => one.charCodeAt(0)).buffer;
        const subscription = (key) => ({
          options: { applicationServerKey: bytes(key) },
          toJSON: () => ({ endpoint, keys }),
          unsubscribe: async () => localStorage.removeItem('key'),
        });
        const known = () => localStorage.getItem('key');
        PushManager.prototype.getSubscription = async () => (known() ? subscription(known()) : null);
        PushManager.prototype.subscribe = async ({ applicationServerKey: key, userVisibleOnly }) => {
          if (!userVisibleOnly) throw new Error('every push has to be shown');
          localStorage.setItem('key', key);
          return subscription(key);
        };
      },
      { endpoint, keys: { auth, p256dh } },
    );
    await page.goto('/inbox/settings');
    await signIn(page);
    await page.waitForURL('**/inbox/settings');
    return { server, service, page };
  }

  test('is told once it asks, shows the test, and is told no more once it says so', async (t) => {
    const { server, service, page } = await atSettings(t);
    await page.getByText('This device is not told.').waitFor();
    await page.getByRole('button', { name: 'Notify me on this device' }).click();
    await page.getByText('This device is told').waitFor();
    assert.equal(service.at('/push/ada').length, 1, 'it was tried first');
    await whole(page, 'inbox-settings-told');
    await page.reload();
    await page.getByText('This device is told').waitFor();

    await page.getByRole('button', { name: 'Send a test' }).click();
    await page.getByText('A test is on its way.').waitFor();
    await soon(() => service.at('/push/ada').length === 2, 'the test at the push service');
    const payload = service.read(service.at('/push/ada')[1]);
    const { deliver } = await registration(page);
    await deliver(JSON.stringify(payload));
    const [notification] = await untilShown(page, 1);
    assert.deepEqual([notification.title, notification.tag], ['It works', payload.id]);
    assert.equal(notification.icon, new URL(payload.icon, server.url).href);
    assert.match(notification.icon, /\.png$/, 'no device shows another kind');
    assert.deepEqual(notification.data.links, [`${server.url}/inbox`]);

    await page.getByRole('button', { name: 'Stop on this device' }).click();
    await page.getByText('This device is not told.').waitFor();
    await page.getByRole('button', { name: 'Notify me on this device' }).waitFor();
  });

  test('that another person signs in on tells them that it is not theirs, and can be', async (t) => {
    const { server, page } = await atSettings(t);
    await server.person('bob', { owner: false });
    await page.getByRole('button', { name: 'Notify me on this device' }).click();
    await page.getByText('This device is told').waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.goto('/inbox/settings');
    await signIn(page, 'bob');
    await page.getByText('This browser shows what somebody else is told').waitFor();
    assert.equal(await page.getByRole('button', { name: 'Send a test' }).count(), 0);
    await page.getByRole('button', { name: 'Stop on this device' }).waitFor();
    await whole(page, 'inbox-settings-of-another');
    await page.getByRole('button', { name: 'Notify me on this device' }).click();
    await page.getByText('This device is told').waitFor();
    await page.reload();
    await page.getByText('This device is told').waitFor();
  });

  test('says what the box says when it is refused', async (t) => {
    const { service, page } = await atSettings(t);
    service.answer = { status: 403 };
    await page.getByRole('button', { name: 'Notify me on this device' }).click();
    await page.getByText(/This box refused: /).waitFor();
    await whole(page, 'inbox-settings-refused');
    await page.reload();
    await page.getByText('This device is not told.').waitFor();
  });

  for (const [what, words, prepare] of [
    ['blocked it', 'You have blocked notifications', () => Object.defineProperty(Notification, 'permission', { get: () => 'denied' })],
    ['has no push', 'This browser has no push.', () => delete window.PushManager],
    ['came over plain http', 'This page came over plain http', () => Object.defineProperty(window, 'isSecureContext', { get: () => false })],
    [
      'does not trust the certificate',
      'If it warned you of the certificate of this box',
      () => (ServiceWorkerContainer.prototype.register = async () => Promise.reject(new DOMException('An SSL certificate error occurred.', 'SecurityError'))),
    ],
    [
      'is an iPhone without the app',
      'On an iPhone or iPad, put the inbox on the home screen first',
      () => Object.defineProperty(navigator, 'userAgent', { get: () => 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)' }),
    ],
  ]) {
    test(`whose browser ${what} is told why`, async (t) => {
      const { page } = await atSettings(t);
      await page.addInitScript(prepare);
      await page.reload();
      await page.getByText(words).waitFor();
      for (const name of ['Notify me on this device', 'Send a test', 'Stop on this device']) {
        assert.equal(await page.getByRole('button', { name }).count(), 0, name);
      }
      await accessible(page);
    });
  }

  test('without JavaScript is told what it needs', async (t) => {
    const { page } = await atSettings(t, { javaScriptEnabled: false });
    await page.getByText('Telling this device needs JavaScript').waitFor();
    assert.equal(await page.getByRole('button', { name: 'Notify me on this device' }).count(), 0);
  });

  for (const [args, words] of [
    [['--egress', 'off', '--experiments', 'web-push'], 'This box calls no other server (--egress off)'],
    [[], 'Telling devices is an experiment that is off here.'],
  ]) {
    test(`of a box with ${args.join(' ') || 'no setting'} is told why`, async (t) => {
      const { page } = await atInbox(t, '/inbox/settings', { args });
      await page.getByText(words).waitFor();
      await accessible(page);
    });
  }

  /** What is shown, once it is `count` notifications. */
  async function untilShown(page, count) {
    return soon(async () => {
      const notifications = await shown(page);
      return notifications.length === count && notifications;
    }, `${count} notifications`);
  }
});
