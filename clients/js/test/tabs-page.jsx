// A page whose tabs share a connection, for tabs.test.mjs.
import { createRollcall } from '../dist/index.js';
import { openSocket } from '../src/socket';
import { shareTabs } from '../src/tabs';

const { user, tab, url, timing, tabs } = Object.fromEntries(new URLSearchParams(location.search));
window.sockets = 0;
window.opened = [];
window.swallowed = 0;
class Counted extends WebSocket {
  constructor(...args) {
    super(...args);
    window.sockets++;
    window.opened.push(this);
  }

  /** Frames that match `window.held` do not reach the server, until `window.sendHeld` sends the last one. */
  send(text) {
    if (!window.held?.test(text)) return super.send(text);
    window.swallowed++;
    window.sendHeld = () => super.send(text);
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
/** Opens another socket of this tab, beside that of its client. */
window.another = async () => {
  const { token } = await getToken('start');
  const line = await shareTabs(window.rollcallURL, () => new Counted(window.rollcallURL, 'graphql-transport-ws'))(token);
  return new Promise((resolve) => {
    const opened = (socket) => {
      line.opened?.(socket);
      resolve(socket);
    };
    openSocket(line.connect, { Authorization: `Bearer ${token}` }, { requestMs: 5_000, pingMs: 5_000, pongMs: 2_000 }, opened, (socket) => line.ended?.(socket));
  });
};
window.rollcall = createRollcall({ url, getToken, webSocketImpl: Counted, timing: JSON.parse(timing), ...(tabs ? { tabs: tabs === 'true' } : {}) });
window.states = [];
window.rollcall.connection.subscribe(() => window.states.push(window.rollcall.connection.getSnapshot().status));
window.rollcall.friends.subscribe(() => {});
