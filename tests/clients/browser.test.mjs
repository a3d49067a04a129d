// A real browser: the distribution's Chromium, driven by playwright-core. Screenshots are kept in
// tests/artefacts/screens.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { PASSWORD, PHONE, accessible, shot, signIn, visitor, whole } from './browser.mjs';
import { Server } from './harness.mjs';
import { authorizationUrl, pkce, register, statusOf, tokenRequest } from './oauth.mjs';

/** An application on this machine that waits for its callback. */
async function application(t, server, { path: callbackPath = '/callback', ...metadata } = {}) {
  const seen = [];
  const listener = createServer((request, response) => {
    const url = new URL(request.url, redirectUri);
    if (url.pathname === callbackPath) seen.push(url);
    response.setHeader('content-type', 'text/html').end('<!doctype html><title>Application</title><p>You may close this.');
  });
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  t.after(() => listener.close());
  t.after(() => listener.closeAllConnections());
  const redirectUri = `http://127.0.0.1:${listener.address().port}${callbackPath}`;
  const client = await register(server, { client_name: 'Desk & Chair', redirect_uris: [redirectUri], ...metadata });
  const { verifier, challenge } = pkce();
  const url = (parameters = {}) =>
    String(authorizationUrl(server, { client_id: client.client_id, redirect_uri: redirectUri, code_challenge: challenge, state: 'xyz', ...parameters }));
  const exchange = async () => {
    const { status, body } = await tokenRequest(server, {
      grant_type: 'authorization_code',
      client_id: client.client_id,
      code: seen.at(-1).searchParams.get('code'),
      redirect_uri: redirectUri,
      code_verifier: verifier,
    });
    assert.equal(status, 200, JSON.stringify(body));
    return body;
  };
  return { client, redirectUri, seen, url, exchange };
}

/** Every scope of the MCP endpoint, so that consent has something to untick. */
async function everyScope(server) {
  const metadata = await (await fetch(`${server.url}/.well-known/oauth-protected-resource/mcp`)).json();
  return metadata.scopes_supported.join(' ');
}

describe('the claim link', () => {
  test('makes its visitor the owner, once', async (t) => {
    const server = await Server.start(t);
    const link = await server.claimLink();
    const page = await visitor(t, server);
    await page.goto(link);
    await accessible(page);
    await shot(page, 'claim');
    await page.getByLabel('Name', { exact: true }).fill('ada');
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByLabel('Password, again').fill('something else entirely');
    await page.getByRole('button', { name: 'Become the owner' }).click();
    assert.equal(await page.getByLabel('Name', { exact: true }).inputValue(), 'ada');
    await accessible(page);
    await shot(page, 'claim-refused');

    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByLabel('Password, again').fill(PASSWORD);
    await page.getByRole('button', { name: 'Become the owner' }).click();
    await page.getByText('Signed in as ada').waitFor();
    await accessible(page);
    await shot(page, 'home');

    const late = await visitor(t, server);
    const answer = await late.goto(link);
    assert.ok(answer.status() >= 400, `${answer.status()}`);
    await accessible(late);
    await shot(late, 'claim-used');
  });

  test('is not offered once there is an owner', async (t) => {
    const server = await Server.start(t);
    const link = await server.claimLink();
    await server.person('ada');
    const page = await visitor(t, server);
    assert.ok((await page.goto(link)).status() >= 400);
  });
});

describe('signing in', () => {
  test('leads back to where one was going, and out again', async (t) => {
    const server = await Server.start(t);
    await server.person('ada');
    const page = await visitor(t, server);
    await page.goto('/account');
    assert.equal(new URL(page.url()).pathname, '/sign-in');
    await accessible(page);
    await shot(page, 'sign-in');
    await signIn(page);
    await page.waitForURL('**/account');
    await accessible(page);

    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await page.getByText('Signed in as').waitFor({ state: 'detached' });
    await page.goto('/account');
    assert.equal(new URL(page.url()).pathname, '/sign-in');
  });

  test('says the same of a wrong password and of nobody', async (t) => {
    const server = await Server.start(t);
    await server.person('ada');
    const page = await visitor(t, server);
    const alerts = [];
    for (const name of ['ada', 'nobody']) {
      await page.goto('/sign-in');
      await signIn(page, name, 'wrong');
      alerts.push(await page.getByRole('alert').innerText());
      assert.equal(await page.getByLabel('Password', { exact: true }).inputValue(), '');
    }
    assert.equal(alerts[0], alerts[1]);
    await accessible(page);
    await shot(page, 'sign-in-wrong');
  });

  test('never leads to another site', async (t) => {
    const server = await Server.start(t);
    await server.person('ada');
    for (const target of ['https://evil.example/', '//evil.example/', '/\\evil.example/']) {
      const page = await visitor(t, server);
      await page.goto(`/sign-in?return_to=${encodeURIComponent(target)}`);
      if (await page.getByLabel('Password', { exact: true }).count()) await signIn(page);
      await page.waitForLoadState();
      assert.equal(new URL(page.url()).origin, server.url, target);
    }
  });

  test('works with the keyboard alone, and the focus can be seen', async (t) => {
    const server = await Server.start(t);
    await server.person('ada');
    const app = await application(t, server);
    const page = await visitor(t, server);
    await page.goto(app.url());
    const tabTo = async (locator) => {
      for (let presses = 0; presses < 40; presses++) {
        await page.keyboard.press('Tab');
        if (await locator.evaluate((element) => element === document.activeElement)) {
          const outline = await locator.evaluate((element) => getComputedStyle(element).outlineStyle);
          assert.notEqual(outline, 'none', 'the focus cannot be seen');
          return;
        }
      }
      assert.fail(`not reached by Tab: ${locator}`);
    };
    await tabTo(page.getByLabel('Name', { exact: true }));
    await page.keyboard.type('ada');
    await tabTo(page.getByLabel('Password', { exact: true }));
    await page.keyboard.type(PASSWORD);
    await page.keyboard.press('Enter');
    const allow = page.getByRole('button', { name: 'Allow' });
    await allow.waitFor();
    await tabTo(allow);
    await page.keyboard.press('Enter');
    await page.waitForURL(`${app.redirectUri}?**`);
    await app.exchange();
  });
});

describe('consent', () => {
  test('allowed, the application gets its code', async (t) => {
    const server = await Server.start(t);
    await server.person('ada');
    const app = await application(t, server);
    const page = await visitor(t, server);
    await page.goto(app.url({ scope: await everyScope(server) }));
    await signIn(page);
    await page.getByRole('button', { name: 'Allow' }).waitFor();
    const text = await page.locator('main').innerText();
    for (const part of ['Desk & Chair', new URL(app.redirectUri).host, app.redirectUri, 'ada']) assert.ok(text.includes(part), part);
    await accessible(page);
    await shot(page, 'consent');
    await page.getByRole('button', { name: 'Allow' }).click();
    await page.waitForURL(`${app.redirectUri}?**`);
    const answer = app.seen[0].searchParams;
    assert.equal(answer.get('state'), 'xyz');
    assert.equal(answer.get('iss'), server.url);
    assert.equal(await statusOf(server, (await app.exchange()).access_token), 200);
  });

  test('denied, the application learns it', async (t) => {
    const server = await Server.start(t);
    await server.person('ada');
    const app = await application(t, server);
    const page = await visitor(t, server);
    await page.goto(app.url());
    await signIn(page);
    await page.getByRole('button', { name: 'Deny' }).click();
    await page.waitForURL(`${app.redirectUri}?**`);
    const answer = app.seen[0].searchParams;
    assert.equal(answer.get('error'), 'access_denied');
    assert.equal(answer.get('code'), null);
    assert.equal(answer.get('iss'), server.url);
  });

  test('a scope that is unticked is not granted', async (t) => {
    const server = await Server.start(t);
    await server.person('ada');
    const app = await application(t, server);
    const page = await visitor(t, server);
    const asked = await everyScope(server);
    await page.goto(app.url({ scope: asked }));
    await signIn(page);
    const box = page.getByRole('checkbox').first();
    const name = await box.getAttribute('value');
    await box.uncheck();
    await shot(page, 'consent-narrowed');
    await page.getByRole('button', { name: 'Allow' }).click();
    await page.waitForURL(`${app.redirectUri}?**`);
    const { scope } = await app.exchange();
    assert.deepEqual(scope.split(' ').sort(), asked.split(' ').filter((one) => one !== name).sort());
  });

  test('that was left open too long is not taken', async (t) => {
    const server = await Server.start(t, { config: '[consent]\nttl = "1s"\n' });
    await server.person('ada');
    const app = await application(t, server);
    const page = await visitor(t, server);
    await page.goto(app.url());
    await signIn(page);
    const allow = page.getByRole('button', { name: 'Allow' });
    await allow.waitFor();
    await sleep(2_000);
    const [response] = await Promise.all([page.waitForResponse((answer) => answer.request().method() === 'POST'), allow.click()]);
    await page.waitForLoadState();
    assert.equal(app.seen.length, 0, `${response.status()}`);
    assert.equal(new URL(page.url()).origin, server.url);
    await accessible(page);
    await shot(page, 'consent-expired');
  });

  test('that one browser opened cannot be given by another', async (t) => {
    const server = await Server.start(t);
    await server.person('ada');
    await server.person('mallory', { owner: false });
    const app = await application(t, server);
    const [hers, his] = [await visitor(t, server), await visitor(t, server)];
    for (const [page, name] of [[hers, 'ada'], [his, 'mallory']]) {
      await page.goto(app.url());
      await signIn(page, name);
      await page.getByRole('button', { name: 'Allow' }).waitFor();
    }
    // His browser posts what hers would, with his own cookies.
    const fields = await hers.locator('form:has(button[name=decision]) input').evaluateAll((inputs) => inputs.map(({ name, value }) => [name, value]));
    const answer = await his.context().request.post(`${server.url}/oauth2/authorize`, {
      form: Object.fromEntries([...fields, ['decision', 'allow']]),
      headers: { origin: server.url },
      maxRedirects: 0,
    });
    assert.ok(answer.status() >= 400 && answer.status() < 500, `${answer.status()}`);
    assert.equal(app.seen.length, 0);
    await hers.getByRole('button', { name: 'Allow' }).click();
    await hers.waitForURL(`${app.redirectUri}?**`);
    await app.exchange();
  });

  test('cannot be shown in a frame', async (t) => {
    const server = await Server.start(t);
    await server.person('ada');
    const app = await application(t, server);
    const page = await visitor(t, server);
    await page.goto(app.url());
    await signIn(page);
    await page.getByRole('button', { name: 'Allow' }).waitFor();
    const response = await page.reload();
    assert.match(response.headers()['content-security-policy'], /frame-ancestors 'none'/);
    assert.equal(response.headers()['x-frame-options'], 'DENY');
  });

  test('works without JavaScript', async (t) => {
    const server = await Server.start(t);
    const link = await server.claimLink();
    const app = await application(t, server);
    const page = await visitor(t, server, { javaScriptEnabled: false });
    await page.goto(link);
    await page.getByLabel('Name', { exact: true }).fill('ada');
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByLabel('Password, again').fill(PASSWORD);
    await page.getByRole('button', { name: 'Become the owner' }).click();
    await page.goto(app.url());
    await page.getByRole('button', { name: 'Allow' }).click();
    await page.waitForURL(`${app.redirectUri}?**`);
    await app.exchange();
  });

  test('by a request that cannot succeed is never asked', async (t) => {
    const server = await Server.start(t);
    await server.person('ada');
    const app = await application(t, server);
    const page = await visitor(t, server);
    const wrong = app.url().replace(/redirect_uri=[^&]*/, `redirect_uri=${encodeURIComponent('https://evil.example/')}`);
    const response = await page.goto(wrong);
    assert.equal(response.status(), 400);
    await accessible(page);
    await shot(page, 'authorize-refused');
    assert.equal(new URL(page.url()).origin, server.url);
  });
});

describe('the account page', () => {
  /** A signed-in page with one grant on it, and that grant's tokens. */
  async function withGrant(t) {
    const server = await Server.start(t);
    await server.person('ada');
    const app = await application(t, server);
    const page = await visitor(t, server);
    await page.goto(app.url());
    await signIn(page);
    await page.getByRole('button', { name: 'Allow' }).click();
    await page.waitForURL(`${app.redirectUri}?**`);
    return { server, page, tokens: await app.exchange() };
  }

  test('revokes a grant, and its tokens with it', async (t) => {
    const { server, page, tokens } = await withGrant(t);
    assert.equal(await statusOf(server, tokens.access_token), 200);
    await page.goto('/account');
    await accessible(page);
    await shot(page, 'account');
    await page.getByRole('button', { name: 'Revoke the access of Desk & Chair' }).click();
    await page.waitForURL('**/account*');
    assert.equal(await page.getByRole('heading', { name: 'Desk & Chair' }).count(), 0);
    assert.equal(await statusOf(server, tokens.access_token), 401);
  });

  test('ends the session of another browser', async (t) => {
    const server = await Server.start(t);
    await server.person('ada');
    const [here, there] = [await visitor(t, server), await visitor(t, server)];
    for (const page of [here, there]) {
      await page.goto('/account');
      await signIn(page);
      await page.waitForURL('**/account');
    }
    await here.reload();
    const rows = here.locator('li:has(form[action*="/account/sessions/"])');
    assert.equal(await rows.count(), 2);
    await rows.filter({ hasNotText: 'this one' }).getByRole('button').click();
    await here.waitForURL('**/account*');
    await there.goto('/account');
    assert.equal(new URL(there.url()).pathname, '/sign-in');
    await here.goto('/account');
    assert.equal(new URL(here.url()).pathname, '/account');
  });

  test('changes the password, and the old one is gone', async (t) => {
    const server = await Server.start(t);
    await server.person('ada');
    const page = await visitor(t, server);
    await page.goto('/account');
    await signIn(page);
    await page.getByLabel('Current password').fill(PASSWORD);
    await page.getByLabel('New password', { exact: true }).fill('another fine password');
    await page.getByLabel('New password, again').fill('another fine password');
    await page.getByRole('button', { name: 'Change the password' }).click();
    await page.getByRole('status').waitFor();
    const next = await visitor(t, server);
    await next.goto('/account');
    await signIn(next);
    await next.getByRole('alert').waitFor();
    await signIn(next, 'ada', 'another fine password');
    await next.waitForURL('**/account');
  });
});

describe('every page', () => {
  for (const [name, options] of [
    ['phone', { viewport: PHONE }],
    ['dark', { colorScheme: 'dark' }],
  ]) {
    test(`is whole and accessible: ${name}`, async (t) => {
      const server = await Server.start(t);
      const page = await visitor(t, server, options);
      const look = async (what) => {
        await whole(page, `${what}-${name}`);
      };
      await page.goto('/');
      await look('home-signed-out');
      await page.goto(await server.claimLink());
      await look('claim');
      await server.person('ada');
      // The longest name that a client may have, without a place to break it.
      const app = await application(t, server, { client_name: 'W'.repeat(128), path: `/callback/${'long'.repeat(30)}` });
      await page.goto(app.url({ scope: await everyScope(server) }));
      await look('sign-in');
      await signIn(page);
      await page.getByRole('button', { name: 'Allow' }).waitFor();
      await look('consent');
      await page.getByRole('button', { name: 'Allow' }).click();
      await page.waitForURL(`${app.redirectUri}?**`);
      await app.exchange();
      await page.goto('/');
      await look('home');
      await page.goto('/account');
      await look('account');
      await page.goto('/device');
      await look('device');
      await page.goto('/admin/apps');
      await page.getByRole('heading', { level: 1 }).waitFor();
      await look('apps');
      await page.goto('/no-such-page');
      await look('not-found');
    });
  }
});
