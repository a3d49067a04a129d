// Makes the inbox live, and lets this box tell the device. Both pages work without it.
//
// What others wrote comes to the page as the server rendered it; nothing here makes markup of text.

'use strict';

const API = '/api/v2';
/** Where the worker is, which shows what is pushed. */
const WORKER = '/sw.js';
/** What of a page changes while it is open. */
const LIVE = ['inbox-link', 'waiting', 'entries', 'further'];
/** Where its forms are, which change that. */
const IN_PLACE = '#entries, #further';
/** The first wait before a stream that broke is opened again; it doubles up to the longest. */
const AGAIN_MS_FIRST = 1_000;
const AGAIN_MS_MAX = 60_000;
/** Who looked away for longer than this may have slept, and with them the machine and its stream. */
const AWAY_MS_MAX = 60_000;

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
    if (socket === opened) timer = setTimeout(() => again(opened), wait);
    wait = Math.min(2 * wait, AGAIN_MS_MAX);
  });
}

/** Opens the stream again, unless it broke because the session is over, or another was opened. */
async function again(broken) {
  if ((await refresh()) && socket === broken) watch();
}

/** Lets go of the stream. */
function unwatch() {
  clearTimeout(timer);
  const old = socket;
  socket = undefined;
  old?.close();
}

let awaySince;

/** A stream that nobody looked at for long may be dead without the browser knowing: the box alone speaks. */
function comeOrGo() {
  if (document.hidden) {
    awaySince = Date.now();
  } else if (Date.now() - awaySince > AWAY_MS_MAX) {
    unwatch();
    wait = AGAIN_MS_FIRST;
    watch();
  }
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
      const fresh = answer.ok && (await pageOf(answer));
      // Signed out, or somebody else is signed in: the page itself leads to where one signs in, and back.
      // Of another release: the page needs its own script.
      if (answer.redirected || (fresh && !isAlike(fresh))) {
        badge(0);
        location.reload();
        return false;
      }
      if (fresh) show(fresh, LIVE);
    }
  } catch (fault) {
    // The box is out of reach. The stream breaks as well, and begins with the state again.
    console.info('not refreshed:', fault.message);
  } finally {
    isRefreshing = false;
  }
  return true;
}

/** The page that an answer is, with its times as this device has them. */
async function pageOf(answer) {
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  tellTimes(page);
  return page;
}

/** Whose page it is: the token of its forms is of one session. */
const tokenOf = (page) => page.querySelector('input[name=csrf_token]')?.value;

/** Of which release a page is: the address of this script has its content in it. */
const scriptOf = (page) => page.querySelector('script')?.getAttribute('src');

/** Whether a page is of the same session and of the same release as the one that is open. */
const isAlike = (page) => [tokenOf, scriptOf].every((of) => of(page) === of(document));

/** Says the times of `page` in the zone of this device, in the form that they have without a script. */
function tellTimes(page) {
  for (const time of page.querySelectorAll('time')) {
    time.title = time.textContent;
    // Sweden writes the date as ISO 8601 does.
    time.textContent = new Date(time.dateTime).toLocaleString('sv-SE', { dateStyle: 'short', timeStyle: 'short' });
  }
}

/** Takes over what may have changed of these parts, and keeps the focus and what is looked at where they are. */
function show(fresh, parts) {
  const [focus, stay] = [focused(), looked(fresh)];
  for (const id of parts) {
    const [old, now] = [document.getElementById(id), fresh.getElementById(id)];
    // A part that is the same stays: a screen reader reads out what is replaced.
    if (!old || !now || old.isEqualNode(now)) continue;
    const [entries, wanted] = [old, now].map((part) => part.querySelector('.rows'));
    if (entries && wanted) merge(entries, [...wanted.children]);
    else old.replaceChildren(...now.childNodes);
  }
  document.title = fresh.title;
  focus();
  stay();
}

/** Makes `entries` the `wanted` ones. One that is the same stays, with what is selected in it. */
function merge(entries, wanted) {
  const known = new Map([...entries.children].map((entry) => [entry.id, entry]));
  const kept = wanted.map((entry) => (known.get(entry.id)?.isEqualNode(entry) ? known.get(entry.id) : entry));
  for (const entry of known.values()) if (!kept.includes(entry)) entry.remove();
  kept.forEach((entry, place) => {
    if (entries.children[place] !== entry) entries.insertBefore(entry, entries.children[place] ?? null);
  });
}

const entriesOf = (page) => [...page.querySelectorAll('.entry')];

/**
 * Focuses again what has the focus now: the same button where its entry is another now, the entry
 * where that has other buttons (whoever presses again must not press "Delete"), and where it is gone
 * the one that has its place.
 */
function focused() {
  const element = document.activeElement;
  const part = element?.closest(`.entry, ${LIVE.map((id) => `#${id}`)}`);
  const inside = (now) => [...now.querySelectorAll('a, button')];
  const controls = part ? inside(part) : [];
  const place = entriesOf(document).indexOf(part);
  return () => {
    if (!part || element.isConnected) return;
    const same = document.getElementById(part.id);
    const entries = entriesOf(document);
    const now = same ? inside(same) : [];
    const control = now.length === controls.length && now[controls.indexOf(element)];
    const entry = place >= 0 && (same ?? entries[place] ?? entries.at(-1));
    (control || entry || document.querySelector('.sieve a')).focus({ preventScroll: true });
  };
}

/** Keeps where it is what the reader looks at, if they have left the top of the list. */
function looked(fresh) {
  const top = (entry) => entry.getBoundingClientRect().top;
  const entries = entriesOf(document);
  if (!entries.length || top(entries[0]) >= 0) return () => {};
  const seen = entries.find((entry) => entry.getBoundingClientRect().bottom > 0 && fresh.getElementById(entry.id));
  const before = seen && top(seen);
  return () => {
    if (seen) scrollBy({ top: top(document.getElementById(seen.id)) - before, behavior: 'instant' });
  };
}

/** Does what a button of the list does without the page being loaded again. */
async function submit(event) {
  const { target: form, submitter } = event;
  // The icon belongs to nobody then.
  if (form.getAttribute('action') === '/sign-out') badge(0);
  if (!form.closest(IN_PLACE)) return;
  event.preventDefault();
  const fields = new FormData(form);
  if (submitter?.name) fields.append(submitter.name, submitter.value);
  try {
    const answer = await fetch(form.action, { method: 'POST', body: new URLSearchParams(fields) });
    if (!answer.ok || new URL(answer.url).pathname !== location.pathname) throw new Error(`answered ${answer.status}`);
    const fresh = await pageOf(answer);
    if (!isAlike(fresh)) throw new Error('answered with a page of somebody else, or of another release');
    show(fresh, [...LIVE, 'notice']);
  } catch (fault) {
    // Signed out, somebody else, or out of reach: what a browser shows of that is right.
    console.info('not done in place:', fault.message);
    location.reload();
  }
}

/** Who follows a link of an entry, in this tab or in another, has read it. */
function markFollowed({ target, button }) {
  if (button > 1) return;
  const entry = target.closest('.unread :is(.next, .said) a')?.closest('.unread');
  if (entry) call('PUT', `/notifications/inbox/${entry.id.replace('entry-', '')}/read-status`, { is_read: true });
}

// This device

/** Whom this browser tells what it is pushed, in words. */
const TOLD = {
  mine: 'This device is told, even while no page of this box is open.',
  nobodys: 'This device is not told. You see what is new when you open the inbox.',
  others: 'This browser shows what somebody else is told, or nothing any more. Have it notify you instead, or stop it.',
};

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

/** Why the browser does not run the worker, in words. */
const unregistered = (fault) =>
  `This browser does not run here what would show notifications. If it warned you of the certificate of this box, make this device trust it first, then load this page again. It says: ${fault.message}`;

/** The part of the settings that is about this device. */
async function device(part) {
  const key = part.dataset.key;
  const words = document.getElementById('push-words');
  const [on, test, off] = ['push-on', 'push-test', 'push-off'].map((id) => document.getElementById(id));
  const say = (text) => (words.textContent = text);

  const state = (whose) => {
    on.hidden = whose === 'mine';
    test.hidden = whose !== 'mine';
    off.hidden = whose === 'nobodys';
    say(TOLD[whose]);
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

  const why = obstacle() ?? (await working.then(() => undefined, unregistered));
  if (why) return say(why);
  const { pushManager } = await navigator.serviceWorker.ready;
  state(await whoseIs(await ours(pushManager, key), part.dataset.told.split(' ')));
  when(on, async () => {
    await subscribe(pushManager, key);
    state('mine');
  });
  when(off, async () => {
    const subscription = await pushManager.getSubscription();
    // The browser forgets it in any case: then nothing can reach it, whatever the box knows.
    await subscription?.unsubscribe();
    state('nobodys');
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

/** Whom `subscription` is for; the box gives the page a digest of each of this person's. */
async function whoseIs(subscription, digests) {
  if (!subscription) return 'nobodys';
  const endpoint = new TextEncoder().encode(told(subscription).endpoint);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', endpoint));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return digests.includes(hex) ? 'mine' : 'others';
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
addEventListener('pagehide', unwatch);
document.addEventListener('visibilitychange', comeOrGo);
for (const press of ['click', 'auxclick']) document.addEventListener(press, markFollowed);
document.addEventListener('submit', submit);
tellTimes(document);
// Loaded again, the page does not say again what was done before.
const address = new URL(location);
address.searchParams.delete('done');
history.replaceState(history.state, '', address);
const working = 'serviceWorker' in navigator ? navigator.serviceWorker.register(WORKER) : Promise.resolve();
// The settings say what it means for the device; nothing else needs the worker.
working.catch((fault) => console.info('no worker:', fault.message));
const part = document.getElementById('push');
if (part) device(part);
