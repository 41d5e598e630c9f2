// A page whose tabs share a connection, for tabs.test.mjs.
import { createRollcall } from '../dist/index.js';
import { sharedSocket } from '../dist/tabs.js';

const query = new URLSearchParams(location.search);
const user = query.get('user');
window.sockets = 0;
class Counted extends WebSocket {
  constructor(...args) {
    super(...args);
    window.sockets++;
  }
}
window.rollcallURL = query.get('url').replace('http', 'ws');
window.Shared = sharedSocket(user, Counted);
window.rollcall = createRollcall({
  url: window.rollcallURL,
  getToken: async (why) => (await fetch(`/token?user=${user}&tab=${query.get('tab')}&why=${why}`)).json(),
  webSocketImpl: window.Shared,
  timing: JSON.parse(query.get('timing')),
});
window.states = [];
window.rollcall.connection.subscribe(() => window.states.push(window.rollcall.connection.getSnapshot().status));
window.rollcall.friends.subscribe(() => {});
