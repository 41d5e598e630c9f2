import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { graphql } from './gql/server/index.js';
import type { ErrorCode, ListOrder, RegisterUserInput, UpdateUserInput } from './gql/server/graphql.js';
import { Refusal, Rollcall } from './rollcall.js';

const RegisterUsers = graphql(`
  mutation RegisterUsers($input: RegisterUsersInput!) {
    registerUsers(input: $input) {
      results { userId created error { code message field } }
    }
  }
`);
const IssueUserToken = graphql(`
  mutation IssueUserToken($input: IssueUserTokenInput!) {
    issueUserToken(input: $input) { token expiresAt }
  }
`);
const UpdateUser = graphql(`
  mutation UpdateUser($input: UpdateUserInput!) {
    updateUser(input: $input) { user { id name avatarUrl state } }
  }
`);
const ListUsers = graphql(`
  query ListUsers($first: Int, $after: String, $filter: UserFilter, $orderBy: ListOrder) {
    userList(first: $first, after: $after, filter: $filter, orderBy: $orderBy) {
      nodes { id name avatarUrl state }
      pageInfo { hasNextPage endCursor }
    }
  }
`);

const { ROLLCALL_URL = 'http://127.0.0.1:8080/graphql', APP_KEY = '', APP_SECRET = '', LISTEN = '127.0.0.1:8082' } = process.env;
const rollcall = new Rollcall(ROLLCALL_URL, { appKey: APP_KEY, appSecret: APP_SECRET });

/** What a route gets: the parameters of the path and of the query, and the body. Rollcall checks the values. */
interface Call {
  id: string;
  query: URLSearchParams;
  body: () => Promise<unknown>;
}

const routes: [method: string, path: RegExp, run: (call: Call) => Promise<unknown>][] = [
  // Registers users, or updates those that exist: [{id, name, avatarUrl}].
  ['POST', /^\/users$/, async ({ body }) => {
    const users = (await body()) as RegisterUserInput[];
    return (await rollcall.request(RegisterUsers, { input: { users } })).registerUsers?.results;
  }],
  // A page of the users: ?first=&after=&search=&orderBy=.
  ['GET', /^\/users$/, async ({ query }) => {
    const first = Number(query.get('first'));
    if (Number.isNaN(first)) throw new Refusal('INVALID_ARGUMENT', 'first must be a number', 'first');
    const { userList } = await rollcall.request(ListUsers, {
      first,
      after: query.get('after'),
      filter: { search: query.get('search') },
      orderBy: query.get('orderBy') as ListOrder | null,
    });
    return { users: userList?.nodes, ...(userList?.pageInfo.hasNextPage && { next: userList.pageInfo.endCursor }) };
  }],
  // Changes what is given of a user: {name, avatarUrl, removeAvatar}.
  ['PATCH', /^\/users\/([^/]+)$/, async ({ id, body }) => {
    const change = (await body()) as Omit<UpdateUserInput, 'userId'>;
    return (await rollcall.request(UpdateUser, { input: { ...change, userId: id } })).updateUser?.user;
  }],
  // A user token, with which the user's device calls Rollcall itself. A real App Server first checks who
  // asks, by a password or a session of its own.
  ['POST', /^\/users\/([^/]+)\/token$/, async ({ id }) =>
    (await rollcall.request(IssueUserToken, { input: { userId: id, ttlSeconds: 3600 } })).issueUserToken],
];

const statuses: Partial<Record<ErrorCode, number>> = {
  INVALID_ARGUMENT: 400,
  GRAPHQL_VALIDATION_FAILED: 400,
  USER_NOT_FOUND: 404,
  USER_DEACTIVATED: 409,
  USER_LIMIT_REACHED: 409,
  RATE_LIMITED: 503,
  UNAVAILABLE: 503,
};

async function answer(request: IncomingMessage): Promise<[status: number, body: unknown]> {
  try {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
    for (const [method, path, run] of routes) {
      const match = method === request.method && path.exec(pathname);
      if (match) {
        const body = () => json(request).catch(() => Promise.reject(new Refusal('INVALID_ARGUMENT', 'the body must be JSON')));
        return [200, await run({ id: decodeURIComponent(match[1] ?? ''), query: searchParams, body })];
      }
    }
    return [404, { code: 'NOT_FOUND', message: 'there is nothing at this path' }];
  } catch (error) {
    console.error(error);
    if (error instanceof URIError) return [400, { code: 'INVALID_ARGUMENT', message: 'the path is no valid URL' }];
    if (!(error instanceof Refusal)) return [503, { code: 'UNAVAILABLE', message: 'Rollcall cannot be reached' }];
    return [statuses[error.code] ?? 500, { code: error.code, message: error.message, field: error.field }];
  }
}

const server = createServer(async (request, response) => {
  const [status, body] = await answer(request);
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
});
const [host, port] = LISTEN.split(':');
server.listen(Number(port), host, () => {
  const { address, port } = server.address() as AddressInfo;
  console.log(`listening on http://${address}:${port}`);
});
