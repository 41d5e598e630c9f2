import { graphql } from './gql/front/index.js';
import type { TypedDocumentString } from './gql/front/graphql.js';

const Me = graphql(`query Me { me { id name avatarUrl } }`);
const Profile = graphql(`query Profile($id: ID!) { user(id: $id) { id name avatarUrl } }`);

/**
 * The calls of a user's device. It sends the IDs of its documents, which graphql-codegen has written to
 * `gql/front/persisted-documents.json`, in place of their texts.
 */
export class Front {
  constructor(
    private readonly url: string,
    private readonly token: string,
  ) {}

  async me() {
    return (await this.request(Me, {})).me;
  }

  async profile(id: string) {
    return (await this.request(Profile, { id })).user;
  }

  private async request<Data, Variables>(document: TypedDocumentString<Data, Variables>, variables: Variables): Promise<Data> {
    const response = await fetch(this.url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${this.token}` },
      body: JSON.stringify({ documentId: document.__meta__?.hash, variables }),
    });
    const { data, errors } = (await response.json()) as { data: Data; errors?: { message: string }[] };
    if (errors) throw new Error(errors[0]?.message);
    return data;
  }
}
