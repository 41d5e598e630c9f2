// What both pages say.

/** The text of a connection's state. */
export function connectionText({ status, until, error }) {
  switch (status) {
    case 'online': return 'Connected';
    case 'connecting': return 'Connecting…';
    case 'offline': return 'Your device has no network';
    case 'reconnecting': return 'Connection lost, trying again…';
    case 'banned': return until ? `Banned until ${until.toLocaleString('en')}` : 'Banned';
    case 'unauthenticated': return 'Please log in again';
    default: return { LOGGED_OUT: 'Logged out', DEVICE_LIMIT: 'Too many devices', USER_DEACTIVATED: 'Your account is deactivated' }[error?.code] ?? 'Disconnected';
  }
}

/** The text of a user's status, which may not be known. */
export function statusText(status) {
  if (!status) return '';
  const presence = { ONLINE: 'Online', OFFLINE: 'Offline', UNLOGINED: 'Logged out' }[status.presence];
  return status.customStatus ? `${presence} · ${status.customStatus}` : presence;
}

/** One of six colours, always the same for a user. */
export const tintOf = (id) => `tint-${[...id].reduce((sum, letter) => sum + letter.codePointAt(0), 0) % 6}`;
export const initialOf = (name) => [...name.trim()][0]?.toUpperCase() ?? '?';
export const dateOf = (time) => new Date(time).toLocaleDateString('en', { dateStyle: 'long' });
