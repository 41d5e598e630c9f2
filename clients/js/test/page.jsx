// A page that uses all hooks, for react.test.mjs. It is also rendered by Node.js.
import { useState } from 'react';
import { RollcallProvider, useBlocklist, useConnection, useFriends, usePresence, useRequests, useRollcall, useUser } from '../dist/react.js';

/** How often each component has rendered. */
export const renders = { page: 0, statuses: 0 };

const row = ({ userId, user, remark, blocked }) => (
  <li key={userId}>{[remark ?? user.name, blocked && 'blocked'].filter(Boolean).join(' ')}</li>
);

function Statuses({ ids }) {
  renders.statuses++;
  const { status, statuses } = usePresence([...ids]); // another array each time
  return (
    <ul id="statuses" data-status={status}>
      {[...statuses.values()].map(({ userId, presence, customStatus }) => <li key={userId}>{`${userId} ${presence} ${customStatus}`.trim()}</li>)}
    </ul>
  );
}

function Name({ id }) {
  const user = useUser(id);
  return <p id="name">{user === undefined ? 'loading' : (user?.name ?? 'unknown')}</p>;
}

/** Shows what the hooks return. `act` receives functions that change what it shows. */
function Page({ act }) {
  renders.page++;
  const connection = useConnection();
  const friends = useFriends();
  const incoming = useRequests();
  const outgoing = useRequests('OUTGOING');
  const blocklist = useBlocklist();
  const [watched, watch] = useState([]);
  const [named, name] = useState(null);
  const [key, setKey] = useState(0);
  Object.assign(act, { watch, name, again: () => setKey((before) => before + 1), rollcall: useRollcall() });
  return (
    <main>
      <output id="connection">{connection.status}</output>
      <ul id="friends" data-status={friends.status}>{friends.items.map(row)}</ul>
      <ul id="incoming">{incoming.items.map(row)}</ul>
      <ul id="outgoing">{outgoing.items.map(row)}</ul>
      <ul id="blocklist">{blocklist.items.map(row)}</ul>
      {watched.length > 0 && <Statuses key={key} ids={watched} />}
      {named && <Name id={named} />}
    </main>
  );
}

/** The page of a client. */
export const App = ({ client, act }) => <RollcallProvider client={client}><Page act={act} /></RollcallProvider>;
