// A page whose tabs share a connection, for tabs.test.mjs.
import { createRollcall } from '../dist/index.js';
import { shareTabs } from '../dist/tabs.js';

const { user, tab, url, timing, tabs } = Object.fromEntries(new URLSearchParams(location.search));
window.sockets = 0;
window.swallowed = 0;
class Counted extends WebSocket {
  constructor(...args) {
    super(...args);
    window.sockets++;
  }

  /** Frames that match `window.held` do not reach the server. */
  send(text) {
    if (window.held?.test(text)) window.swallowed++;
    else super.send(text);
  }
}
// What this tab has told the others
window.letters = [];
const { postMessage } = BroadcastChannel.prototype;
BroadcastChannel.prototype.postMessage = function (letter) {
  window.letters.push(letter);
  postMessage.call(this, letter);
};
const getToken = async (why) => (await fetch(`/token?user=${user}&tab=${tab}&why=${why}`)).json();
window.rollcallURL = url.replace('http', 'ws');
window.another = async () => new (shareTabs(Counted)((await getToken('start')).token))(window.rollcallURL, 'graphql-transport-ws');
window.rollcall = createRollcall({ url, getToken, webSocketImpl: Counted, timing: JSON.parse(timing), ...(tabs ? { tabs: tabs === 'true' } : {}) });
window.states = [];
window.rollcall.connection.subscribe(() => window.states.push(window.rollcall.connection.getSnapshot().status));
window.rollcall.friends.subscribe(() => {});
