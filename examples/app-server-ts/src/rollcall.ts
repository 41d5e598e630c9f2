import { graphql } from './gql/server/index.js';
import type { ErrorCode, TypedDocumentString } from './gql/server/graphql.js';

const IssueAppToken = graphql(`
  mutation IssueAppToken($input: IssueAppTokenInput!) {
    issueAppToken(input: $input) { token expiresAt }
  }
`);

/** An error of Rollcall's API: the first of a response. */
export class Refusal extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly field?: string,
  ) {
    super(message);
  }
}

interface Answer<Data> {
  data?: Data;
  errors?: { message: string; extensions: { code: ErrorCode; field?: string } }[];
}

/**
 * Sends operations with the app token. It gets the token when it is first needed, and a new one after
 * nine tenths of the token's lifetime, or if it was refused: tokens end early when an operator rotates
 * the app's secret.
 */
export class Rollcall {
  private token?: Promise<{ token: string; renewAt: number }>;

  constructor(
    private readonly url: string,
    private readonly app: { appKey: string; appSecret: string },
  ) {}

  async request<Data, Variables>(document: TypedDocumentString<Data, Variables>, variables: Variables): Promise<Data> {
    const token = await this.appToken();
    try {
      return await this.send(document, variables, token);
    } catch (error) {
      if (!(error instanceof Refusal) || error.code !== 'UNAUTHENTICATED') throw error;
      return this.send(document, variables, await this.appToken(token));
    }
  }

  /** Returns a valid app token other than `refused`. Callers at the same time share one. */
  private async appToken(refused?: string): Promise<string> {
    const known = this.token;
    const current = await known?.catch(() => undefined);
    if (current && current.token !== refused && Date.now() < current.renewAt) return current.token;
    if (this.token === known) this.token = this.issue();
    return (await this.token!).token;
  }

  private async issue() {
    const { issueAppToken } = await this.send(IssueAppToken, { input: this.app });
    if (!issueAppToken) throw new Error('no app token');
    const lifetime = Date.parse(issueAppToken.expiresAt) - Date.now();
    return { token: issueAppToken.token, renewAt: Date.now() + 0.9 * lifetime };
  }

  private async send<Data, Variables>(document: TypedDocumentString<Data, Variables>, variables: Variables, token?: string) {
    const response = await fetch(this.url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) },
      body: JSON.stringify({ query: document.toString(), variables }),
      signal: AbortSignal.timeout(30_000),
    });
    const { data, errors } = (await response.json()) as Answer<Data>;
    const error = errors?.[0];
    if (error) throw new Refusal(error.extensions.code, error.message, error.extensions.field);
    if (!data) throw new Error(`status ${response.status}`);
    return data;
  }
}
