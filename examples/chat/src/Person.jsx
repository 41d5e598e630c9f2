import { initialOf, tintOf } from './texts.js';

/** A user's avatar and name, with a line below. */
export function Person({ user, name, online, heading, children }) {
  const shown = name || user.name || user.id;
  const Name = heading ? 'h2' : 'b';
  return (
    <>
      <span className={`avatar ${tintOf(user.id)} ${online ? 'online' : ''}`} aria-hidden="true">
        {user.avatarUrl ? <img src={user.avatarUrl} alt="" /> : initialOf(shown)}
      </span>
      <span className="names">
        <Name>{shown}</Name>
        <small>{children}</small>
      </span>
    </>
  );
}
