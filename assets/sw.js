// The service worker: shows what is pushed, opens where it leads, and marks it as read.
//
// It caches nothing and answers no request: a page of this box is never older than the box.

'use strict';

/** Where a notification leads that says nothing itself. */
const HOME = '/inbox';
/** What a person has there, and how much of it waits. */
const INBOX = '/api/v2/notifications/inbox';
/** A device away from home may get pushes and not reach the box. */
const COUNT_MS_MAX = 5_000;
/** What is shown where a push says nothing that can be read: a browser wants to see something. */
const UNREADABLE = { title: 'This box has something for you', body: 'Open the inbox to read it.' };

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

self.addEventListener('push', (event) => event.waitUntil(Promise.all([show(read(event.data)), count()])));
self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  event.waitUntil(Promise.all([follow(event), markRead(event.notification.data.id)]));
});

/** The payload: `{id, title, body, icon, actions: [{label, url}], url}`. */
function read(data) {
  try {
    const said = data?.json();
    return typeof said?.title === 'string' ? said : UNREADABLE;
  } catch {
    return UNREADABLE;
  }
}

function show({ id, title, body, icon, actions, url }) {
  const buttons = Array.isArray(actions) ? actions.slice(0, Notification.maxActions) : [];
  const links = buttons.map((button) => ownOrHttps(button.url));
  return self.registration.showNotification(title, {
    body: typeof body === 'string' ? body : '',
    icon: own(icon) ?? '/assets/icon-192.png',
    badge: '/assets/icon-192.png',
    // One entry of the inbox is one notification, however often it is delivered.
    tag: id,
    actions: buttons.map(({ label }, place) => ({ action: String(place), title: String(label) })),
    data: { id, url: ownOrHttps(url), links },
  });
}

/** `url` in full if it is of this box; a picture comes from nowhere else. */
function own(url) {
  const full = ownOrHttps(url ?? '');
  return full && new URL(full).origin === self.location.origin ? full : undefined;
}

/** `url` in full if it is of this box, or https; nothing otherwise. */
function ownOrHttps(url) {
  const full = typeof url === 'string' && url !== '' && URL.canParse(url, self.location.origin) ? new URL(url, self.location.origin) : null;
  return full && (full.origin === self.location.origin || full.protocol === 'https:') ? full.href : undefined;
}

/** Opens where the notification, or its button, leads: in a window that is there already, if one is. */
async function follow({ action, notification: { data } }) {
  const target = (action === '' ? data.url : data.links[Number(action)]) ?? new URL(HOME, self.location.origin).href;
  const windows = await self.clients.matchAll({ type: 'window' });
  const there = windows.find((one) => one.url === target);
  return there ? there.focus() : self.clients.openWindow(target);
}

/** Puts on the app's icon how much waits, where a device has room for it and the person is signed in. */
async function count() {
  if (!('setAppBadge' in self.navigator)) return;
  try {
    const answer = await fetch(INBOX, { credentials: 'same-origin', signal: AbortSignal.timeout(COUNT_MS_MAX) });
    if (answer.ok) await badge(answer);
    // Nobody is signed in any more, so that it is nobody's number.
    else if (answer.status === 401) await self.navigator.clearAppBadge();
  } catch (fault) {
    console.info('not counted:', fault.message);
  }
}

/** The number that `answer` says, as far as a device shows it. */
async function badge(answer) {
  const { unread_count: unread } = await answer.json();
  // A device without room for it refuses; the inbox shows the number itself.
  await self.navigator.setAppBadge?.(unread).catch((fault) => console.info('no badge:', fault.name));
}

/** Marks the entry as read. Who is signed out marks it later, in the inbox. */
async function markRead(id) {
  if (typeof id !== 'string') return;
  const me = await fetch('/api/v2/users/me', { credentials: 'same-origin' });
  if (!me.ok) return;
  const answer = await fetch(`${INBOX}/${encodeURIComponent(id)}/read-status`, {
    method: 'PUT',
    credentials: 'same-origin',
    headers: { 'content-type': 'application/json', 'x-csrf-token': me.headers.get('x-csrf-token') },
    body: JSON.stringify({ is_read: true }),
  });
  if (answer.ok) await badge(answer);
}
