// The part of the page that runs in the browser: ?user=…&url=…&hydrate=
import { StrictMode } from 'react';
import { createRoot, hydrateRoot } from 'react-dom/client';
import { createRollcall } from '../dist/index.js';
import { App, renders } from './page.jsx';

const { user, url, hydrate } = Object.fromEntries(new URLSearchParams(location.search));

/** The operations that were started and ended. A test may hold up the pages of lists. */
const sent = [];
class Counting extends WebSocket {
  send(text) {
    const { type, id, payload } = JSON.parse(text);
    if (type === 'subscribe') sent.push({ id, query: payload.query, ids: payload.variables.ids });
    if (type === 'complete') sent.push({ id });
    if (payload?.variables?.after && window.beforePage) window.beforePage().then(() => super.send(text));
    else super.send(text);
  }
}

const client = createRollcall({
  url,
  webSocketImpl: Counting,
  getToken: async (why) => (await fetch(`/token?user=${user}&why=${why}`, { method: 'POST' })).json(),
  timing: window.timing,
});
const act = {};
const errors = [];
client.onError((error) => errors.push(`${error.code} ${error.message}`));
const states = [];
client.connection.subscribe(() => states.push(client.connection.getSnapshot().status));

const element = <StrictMode><App client={client} act={act} /></StrictMode>;
const place = document.getElementById('root');
let root;
if (hydrate === undefined) {
  root = createRoot(place);
  root.render(element);
} else {
  await client.friends.ready(); // more than the server knew
  root = hydrateRoot(place, element, { onRecoverableError: (error) => console.error(error) });
}
window.page = { client, act, root, element, renders, sent, errors, states };
