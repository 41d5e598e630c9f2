import { StrictMode, useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { createRollcall } from '@rollcall/client';
import { RollcallProvider, useBlocklist, useConnection, useFriends, usePresence, useRequests, useRollcall } from '@rollcall/client/react';
import { FriendList } from './FriendList.jsx';
import { Person } from './Person.jsx';
import { getToken, login, logout, rename, session } from './session.js';
import { connectionText, dateOf, statusText } from './texts.js';

function App() {
  const [user, setUser] = useState(session);
  const [client, setClient] = useState(null);
  useEffect(() => {
    if (!user) return;
    const made = createRollcall({ url: user.url, getToken });
    setClient(made);
    return () => {
      made.close();
      setClient(null);
    };
  }, [user]);
  if (!user) return <Login onLogin={setUser} />;
  return client && (
    <RollcallProvider client={client}>
      <Chat name={user.name} onLogout={() => setUser(logout())} />
    </RollcallProvider>
  );
}

/** Returns a function that runs a promise, and the error of the last one. */
function useAttempt() {
  const [error, setError] = useState('');
  return [error, (promise) => promise.then(() => setError(''), ({ message }) => setError(message))];
}

/** A form with one field and one button. */
function Field({ label, button, value, onSubmit, ...rest }) {
  const submit = (event) => {
    event.preventDefault();
    onSubmit(new FormData(event.target).get('value').trim());
    if (value === undefined) event.target.reset();
  };
  return (
    <form className="inline" onSubmit={submit}>
      <label>{label} <input key={value} name="value" defaultValue={value} autoComplete="off" {...rest} /></label>
      <button>{button}</button>
    </form>
  );
}

function Login({ onLogin }) {
  const [error, attempt] = useAttempt();
  const submit = (event) => {
    event.preventDefault();
    const { id, name } = Object.fromEntries(new FormData(event.target));
    attempt(login(id.trim(), name.trim()).then(onLogin));
  };
  return (
    <main>
      <form className="card login" onSubmit={submit}>
        <h1>Harbour Chat</h1>
        <label>Your user ID <input name="id" required maxLength="64" autoComplete="username" /></label>
        <label>Your name <input name="name" required maxLength="64" autoComplete="name" /></label>
        <button className="primary">Log in</button>
        <p className="error" role="alert">{error}</p>
      </form>
    </main>
  );
}

function Chat({ name, onLogout }) {
  const rollcall = useRollcall();
  const connection = useConnection();
  const { self } = usePresence([]);
  const [chosen, choose] = useState(null);
  const [error, attempt] = useAttempt();
  return (
    <div className="chat">
      <header>
        <h1>Harbour Chat</h1>
        <p className="connection" role="status">{connectionText(connection)}</p>
        <Field label="Your name" button="Save" value={name} required maxLength="64" onSubmit={(text) => attempt(rename(text))} />
        <Field label="Your status" button="Set" value={self?.customStatus ?? ''} maxLength="100" placeholder="None" onSubmit={(text) => attempt(rollcall.presence.setCustomStatus(text))} />
        <button onClick={() => attempt(rollcall.logout().then(onLogout))}>Log out</button>
      </header>
      <p className="error" role="alert">{error}</p>
      <aside>
        <FriendList chosen={chosen} onChoose={choose} />
        <Requests attempt={attempt} />
        <Blocked attempt={attempt} />
      </aside>
      <Details id={chosen} attempt={attempt} />
    </div>
  );
}

function Requests({ attempt }) {
  const { requests } = useRollcall();
  const incoming = useRequests();
  const outgoing = useRequests('OUTGOING');
  return (
    <section aria-labelledby="requests-title">
      <h2 id="requests-title">Requests</h2>
      <ul>
        {incoming.items.map(({ id, user, message }) => (
          <li key={id} className="person">
            <Person user={user}>{message ?? 'wants to be your friend'}</Person>
            <button className="primary" aria-label={`Accept ${user.name}`} onClick={() => attempt(requests.accept(id))}>Accept</button>
            <button aria-label={`Decline ${user.name}`} onClick={() => attempt(requests.decline(id))}>Decline</button>
          </li>
        ))}
        {outgoing.items.map(({ id, user }) => (
          <li key={id} className="person">
            <Person user={user}>has not responded yet</Person>
            <button aria-label={`Cancel the request to ${user.name}`} onClick={() => attempt(requests.cancel(id))}>Cancel</button>
          </li>
        ))}
      </ul>
      <Field label="Add a friend by user ID" button="Send" required maxLength="64" onSubmit={(id) => attempt(requests.send(id))} />
    </section>
  );
}

function Blocked({ attempt }) {
  const { blocklist } = useRollcall();
  const { items } = useBlocklist();
  return (
    <section aria-labelledby="blocked-title">
      <h2 id="blocked-title">Blocked</h2>
      {items.length === 0 && <p className="hint">None.</p>}
      <ul>
        {items.map(({ userId, user, createdAt }) => (
          <li key={userId} className="person">
            <Person user={user}>{`since ${dateOf(createdAt)}`}</Person>
            <button aria-label={`Unblock ${user.name}`} onClick={() => attempt(blocklist.remove(userId))}>Unblock</button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Details({ id, attempt }) {
  const { friends, blocklist } = useRollcall();
  const { statuses } = usePresence(id ? [id] : []);
  const friend = useFriends().items.find(({ userId }) => userId === id);
  if (!friend) return <main className="card details"><p className="hint">Choose a friend.</p></main>;
  const status = statuses.get(id);
  return (
    <main className="card details">
      <div className="person">
        <Person user={friend.user} name={friend.remark} online={status?.presence === 'ONLINE'} heading>{statusText(status)}</Person>
      </div>
      <p className="hint">{`${friend.user.name} (${id}), a friend since ${dateOf(friend.createdAt)}`}</p>
      <Field key={id} label="Your own name for this friend" button="Save" value={friend.remark ?? ''} maxLength="100" onSubmit={(text) => attempt(friends.setRemark(id, text))} />
      <div className="actions">
        {friend.blocked
          ? <button onClick={() => attempt(blocklist.remove(id))}>Unblock</button>
          : <button onClick={() => attempt(blocklist.add(id))}>Block</button>}
        <button className="danger" onClick={() => attempt(friends.remove(id))}>Remove from friends</button>
      </div>
    </main>
  );
}

createRoot(document.getElementById('root')).render(<StrictMode><App /></StrictMode>);
