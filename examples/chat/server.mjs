// The back end of the chat: it serves the pages, registers who logs in, and issues their tokens. The
// app's secret stays here. A real one has passwords; here anyone who knows a user ID can log in as that user.
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname } from 'node:path';
import { json } from 'node:stream/consumers';

const { ROLLCALL_URL = 'http://127.0.0.1:8080/graphql', APP_KEY = '', APP_SECRET = '', LISTEN = '127.0.0.1:8000' } = process.env;
const socketURL = ROLLCALL_URL.replace(/^http/, 'ws');
const sessions = new Map(); // user IDs by session

class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function send(query, input, token) {
  const response = await fetch(ROLLCALL_URL, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) },
    body: JSON.stringify({ query, variables: { input } }),
  });
  const { data, errors } = await response.json();
  if (errors) throw Object.assign(new Refusal(400, errors[0].message), errors[0].extensions);
  return Object.values(data)[0];
}

let appToken;
const newAppToken = async () =>
  (appToken = await send('mutation ($input: IssueAppTokenInput!) { issueAppToken(input: $input) { token } }', { appKey: APP_KEY, appSecret: APP_SECRET })).token;

/** Calls Rollcall as the App Server, with a new app token if the old one has ended. */
async function rollcall(query, input) {
  try {
    return await send(query, input, appToken?.token ?? (await newAppToken()));
  } catch (error) {
    if (error.code !== 'UNAUTHENTICATED') throw error;
    return send(query, input, await newAppToken());
  }
}

const routes = {
  'POST /login': async ({ id, name }) => {
    const { user } = await rollcall('mutation ($input: RegisterUserInput!) { registerUser(input: $input) { user { id } } }', { id, name });
    const session = randomUUID();
    sessions.set(session, user.id);
    return { session, url: socketURL };
  },
  'POST /token': (_, userId) =>
    rollcall('mutation ($input: IssueUserTokenInput!) { issueUserToken(input: $input) { token expiresAt } }', { userId, ttlSeconds: 3600 }),
  'POST /name': async ({ name }, userId) => {
    await rollcall('mutation ($input: UpdateUserInput!) { updateUser(input: $input) { user { id } } }', { userId, name });
    return { name };
  },
};

const types = { '.html': 'text/html', '.css': 'text/css', '.js': 'text/javascript' };
const files = Object.fromEntries(
  ['public/index.html', 'public/react.html', 'public/style.css', 'dist/plain.js', 'dist/react.js'].map((file) => [`/${file.split('/')[1]}`, new URL(file, import.meta.url)]),
);
files['/'] = files['/index.html'];

async function answer(request, response) {
  const { pathname } = new URL(request.url, 'http://localhost');
  const file = request.method === 'GET' && files[pathname];
  if (file) {
    const text = await readFile(file);
    return response.setHeader('Content-Type', `${types[extname(file.pathname)]}; charset=utf-8`).end(text);
  }
  const route = routes[`${request.method} ${pathname}`];
  if (!route) throw new Refusal(404, 'There is nothing at this path.');
  const userId = sessions.get(request.headers.authorization);
  if (!userId && pathname !== '/login') throw new Refusal(401, 'Please log in.');
  const body = await json(request).catch(() => Promise.reject(new Refusal(400, 'The body must be JSON.')));
  response.setHeader('Content-Type', 'application/json').end(JSON.stringify(await route(body, userId)));
}

const server = createServer(async (request, response) => {
  response.setHeader('Content-Security-Policy', `default-src 'self'; connect-src 'self' ${new URL(socketURL).origin}; img-src 'self' https: data:; frame-ancestors 'none'`);
  try {
    await answer(request, response);
  } catch (error) {
    if (!error.status) console.error(error);
    response.writeHead(error.status ?? 503, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify({ message: error.status ? error.message : 'Rollcall cannot be reached.' }));
  }
});
const [host, port] = LISTEN.split(':');
server.listen(Number(port), host, () => console.log(`listening on http://${host}:${server.address().port}`));
