// The app's own back end, server.mjs. A session is of one tab, so that two people fit into one browser.

/** The session of this tab: {id, name, session, url}, or null. */
export let session = JSON.parse(sessionStorage.getItem('session') ?? 'null');

function keep(next) {
  session = next;
  sessionStorage.setItem('session', JSON.stringify(next));
  return next;
}

async function call(path, body = {}) {
  const response = await fetch(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: session?.session ?? '' },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.message);
  return answer;
}

export const login = async (id, name) => keep({ id, name, ...(await call('/login', { id, name })) });
export const logout = () => keep(null);
export const getToken = () => call('/token');
export const rename = async (name) => keep({ ...session, ...(await call('/name', { name })) });
