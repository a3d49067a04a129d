// Makes the inbox live, and lets this box tell the device. Both pages work without it.
//
// What others wrote comes to the page as the server rendered it; nothing here makes markup of text.

'use strict';

const API = '/api/v2';
/** Where the worker is, which shows what is pushed. */
const WORKER = '/sw.js';
/** What of a page changes while it is open. */
const LIVE = ['inbox-link', 'waiting', 'entries'];
/** The first wait before a stream that broke is opened again; it doubles up to the longest. */
const AGAIN_MS_FIRST = 1_000;
const AGAIN_MS_MAX = 60_000;

/** A call of the API, as the person of this page. */
function call(method, path, body) {
  const csrf = document.querySelector('input[name=csrf_token]').value;
  return fetch(API + path, {
    method,
    // The page may be left while it is under way.
    keepalive: true,
    headers: { 'content-type': 'application/json', 'x-csrf-token': csrf },
    body: body && JSON.stringify(body),
  });
}

// The stream

let socket;
let wait = AGAIN_MS_FIRST;
let timer;

/** Opens the stream of what is new. Its first message is the state, so nothing is missed before. */
function watch() {
  const url = new URL(`${API}/notifications/inbox/watch`, location.origin);
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  const opened = (socket = new WebSocket(url));
  opened.addEventListener('message', ({ data }) => {
    wait = AGAIN_MS_FIRST;
    badge(JSON.parse(data).unread_count);
    refresh();
  });
  opened.addEventListener('close', () => {
    if (socket === opened) timer = setTimeout(again, wait);
    wait = Math.min(2 * wait, AGAIN_MS_MAX);
  });
}

/** Opens the stream again, unless it broke because the session is over. */
async function again() {
  if (await refresh()) watch();
}

/** The number on the app's icon, where a device has one. */
async function badge(unread) {
  if (!('setAppBadge' in navigator)) return;
  try {
    await (unread > 0 ? navigator.setAppBadge(unread) : navigator.clearAppBadge());
  } catch (fault) {
    // A device without room for it says so here; the page shows the number itself.
    console.info('no badge:', fault.name);
  }
}

let isRefreshing = false;
let isStale = false;

/**
 * Shows what the server shows now; what comes meanwhile is asked for once, afterwards. Whether the
 * person is still signed in, as far as it is known.
 */
async function refresh() {
  isStale = true;
  if (isRefreshing) return true;
  isRefreshing = true;
  try {
    while (isStale) {
      isStale = false;
      const answer = await fetch(location.href);
      // Signed out: the page itself leads to where one signs in, and back.
      if (answer.redirected) {
        location.reload();
        return false;
      }
      if (answer.ok) show(new DOMParser().parseFromString(await answer.text(), 'text/html'));
    }
  } catch (fault) {
    // The box is out of reach. The stream breaks as well, and begins with the state again.
    console.info('not refreshed:', fault.message);
  } finally {
    isRefreshing = false;
  }
  return true;
}

/** Takes over what may have changed, and keeps the focus where it is. */
function show(fresh) {
  const focus = focused();
  for (const id of LIVE) {
    const [old, now] = [document.getElementById(id), fresh.getElementById(id)];
    // A part that is the same stays: a screen reader reads out what is replaced.
    if (old && now && !old.isEqualNode(now)) old.replaceChildren(...now.childNodes);
  }
  document.title = fresh.title;
  focus();
}

/** Focuses again what has the focus now, if it is still there. */
function focused() {
  const element = document.activeElement;
  const id = element?.closest('[id]')?.id;
  const inside = () => [...(document.getElementById(id)?.querySelectorAll('a, button') ?? [])];
  const place = id ? inside().indexOf(element) : -1;
  return () => {
    if (place >= 0 && !element.isConnected) inside()[place]?.focus();
  };
}

/** Who follows a link of an entry has read it. */
function markFollowed({ target }) {
  const entry = target.closest('.unread :is(.next, .said) a')?.closest('.unread');
  if (entry) call('PUT', `/notifications/inbox/${entry.id.replace('entry-', '')}/read-status`, { is_read: true });
}

// This device

/** Why this browser cannot be told, in words; nothing if it can. */
function obstacle() {
  const isApple = /iPhone|iPad|iPod/.test(navigator.userAgent) || (navigator.platform === 'MacIntel' && navigator.maxTouchPoints > 1);
  if (!window.isSecureContext) {
    return 'This page came over plain http, and browsers tell devices over https only. Open the box at its https address.';
  }
  if (isApple && !navigator.standalone) {
    return 'On an iPhone or iPad, put the inbox on the home screen first: Share, then Add to Home Screen. Then open it from there and come back to this page.';
  }
  if (!('serviceWorker' in navigator && 'PushManager' in window && 'Notification' in window)) {
    return 'This browser has no push. Another one on this device may have it; the inbox works here all the same.';
  }
  if (Notification.permission === 'denied') {
    return 'You have blocked notifications of this box in this browser. Allow them in its settings for this site, then load this page again.';
  }
  return undefined;
}

/** The part of the settings that is about this device. */
async function device(part) {
  const key = part.dataset.key;
  const words = document.getElementById('push-words');
  const [on, test, off] = ['push-on', 'push-test', 'push-off'].map((id) => document.getElementById(id));
  const say = (text) => (words.textContent = text);

  const offer = (isOn) => {
    on.hidden = isOn;
    test.hidden = off.hidden = !isOn;
  };
  const state = (subscription) => {
    offer(Boolean(subscription));
    say(subscription ? 'This device is told, even while no page of this box is open.' : 'This device is not told. You see what is new when you open the inbox.');
  };
  /** Does what a button says, once at a time, and says what went wrong. */
  const when = (button, work) =>
    button.addEventListener('click', async () => {
      const buttons = [on, test, off];
      for (const each of buttons) each.disabled = true;
      try {
        await work();
      } catch (fault) {
        say(fault.message);
      } finally {
        for (const each of buttons) each.disabled = false;
      }
    });

  const why = obstacle();
  if (why) return say(why);
  const { pushManager } = await navigator.serviceWorker.ready;
  state(await ours(pushManager, key));
  when(on, async () => state(await subscribe(pushManager, key)));
  when(off, async () => {
    const subscription = await pushManager.getSubscription();
    // The browser forgets it in any case: then nothing can reach it, whatever the box knows.
    await subscription?.unsubscribe();
    state(null);
    // 404: the box had forgotten it before.
    if (subscription) await done(call('DELETE', '/users/me/webpush/subscription', told(subscription)), 404);
  });
  when(test, async () => {
    await done(call('POST', '/users/me/webpush/test'));
    say('A test is on its way. If nothing is shown, look at what the device itself allows this browser to show.');
  });
}

/** The subscription of this browser, unless it was made for another key of the box. */
async function ours(pushManager, key) {
  const subscription = await pushManager.getSubscription();
  if (!subscription || base64url(subscription.options.applicationServerKey) === key) return subscription;
  await subscription.unsubscribe();
  return null;
}

/** Asks the person, then the browser's push service, then the box, which sends a test first. */
async function subscribe(pushManager, key) {
  const answer = await Notification.requestPermission();
  if (answer !== 'granted') throw new Error(obstacle() ?? 'You did not allow it, so nothing was changed. Press again to be asked again.');
  const subscription = await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key }).catch((fault) => {
    throw new Error(`The push service of this browser does not answer it: ${fault.message}`);
  });
  try {
    await done(call('POST', '/users/me/webpush/subscription', told(subscription)));
  } catch (fault) {
    await subscription.unsubscribe();
    throw fault;
  }
  return subscription;
}

/** What the box is told of a subscription (W3C Push API, `PushSubscriptionJSON`). */
function told(subscription) {
  const { endpoint, keys } = subscription.toJSON();
  return { endpoint, auth_key: keys.auth, p256dh_key: keys.p256dh };
}

/** Waits for an answer of the API; one that refuses becomes an error with its reason, but for one status. */
async function done(answering, fine) {
  const answer = await answering;
  if (answer.ok || answer.status === fine) return;
  const said = answer.headers.get('content-type') === 'application/json' ? await answer.json() : {};
  const reasons = (said.validations ?? []).map(({ detail }) => detail);
  throw new Error(`This box refused: ${[said.detail ?? said.message ?? `status ${answer.status}`, ...reasons].join(' ')}`);
}

function base64url(bytes) {
  return btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

// A page that is kept for "back" holds no stream open.
addEventListener('pageshow', () => {
  if (!socket) watch();
});
addEventListener('pagehide', () => {
  clearTimeout(timer);
  const old = socket;
  socket = undefined;
  old?.close();
});
document.addEventListener('click', markFollowed);
if ('serviceWorker' in navigator) navigator.serviceWorker.register(WORKER);
const part = document.getElementById('push');
if (part) device(part);
