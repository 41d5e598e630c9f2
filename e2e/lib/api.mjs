/** The errors that the API returned instead of data. */
export class APIError extends Error {
  constructor(status, errors) {
    super(`${status}: ${JSON.stringify(errors)}`);
    this.status = status;
    this.errors = errors;
    this.code = errors?.[0]?.extensions?.code;
  }
}

/** Sends one operation over HTTP and returns its data. */
export async function send(server, token, query, variables) {
  const answer = await fetch(server.graphql, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      Accept: 'application/graphql-response+json',
      ...(token && { Authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await answer.json();
  if (errors) throw new APIError(answer.status, errors);
  return data;
}

/** Opens an event stream. Once it has ended, its `text` is all that was received. */
export async function eventStream(server, token, query) {
  const answer = await fetch(server.graphql, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Accept: 'text/event-stream', Authorization: `Bearer ${token}` },
    body: JSON.stringify({ query }),
  });
  if (!answer.ok) throw new APIError(answer.status);
  return { text: answer.text() };
}

/** An app's back end: what a customer would write. */
export class AppServer {
  static async login(server, app) {
    const { issueAppToken } = await send(
      server,
      null,
      'mutation ($input: IssueAppTokenInput!) { issueAppToken(input: $input) { token } }',
      { input: { appKey: app.key, appSecret: app.secret } },
    );
    return new AppServer(server, issueAppToken.token);
  }

  constructor(server, token) {
    this.server = server;
    this.token = token;
  }

  send(query, variables) {
    return send(this.server, this.token, query, variables);
  }

  /** Registers a user and returns its token. */
  async register(id, name = `User ${id}`) {
    const { registerUser } = await this.send(
      'mutation ($input: RegisterUserInput!) { registerUser(input: $input) { token } }',
      { input: { id, name } },
    );
    return registerUser.token;
  }

  /** The users' presences in the order of the IDs, null if unknown. */
  async presences(...ids) {
    const { userStatuses } = await this.send('query ($ids: [ID!]!) { userStatuses(ids: $ids) { presence } }', { ids });
    return userStatuses.map((status) => status?.presence ?? null);
  }
}
