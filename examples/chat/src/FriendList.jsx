import { useFriends, usePresence } from '@rollcall/client/react';
import { Person } from './Person.jsx';
import { statusText } from './texts.js';

/** The user's friends with their statuses, those online first. */
export function FriendList({ chosen, onChoose }) {
  const { items, status, error } = useFriends();
  const { statuses } = usePresence(items.map(({ userId }) => userId));
  const isOnline = ({ userId }) => statuses.get(userId)?.presence === 'ONLINE';
  const friends = [...items.filter(isOnline), ...items.filter((friend) => !isOnline(friend))];

  return (
    <section aria-labelledby="friends-title">
      <h2 id="friends-title">Friends</h2>
      {error && <p className="error" role="alert">{error.message}</p>}
      {friends.length === 0 && <p className="hint">{status === 'ready' ? 'None yet: send a request.' : 'Loading…'}</p>}
      <ul>
        {friends.map((friend) => (
          <li key={friend.userId}>
            <button className="person" aria-pressed={friend.userId === chosen} onClick={() => onChoose(friend.userId)}>
              <Person user={friend.user} name={friend.remark} online={isOnline(friend)}>
                {friend.blocked ? 'Blocked' : statusText(statuses.get(friend.userId))}
              </Person>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
