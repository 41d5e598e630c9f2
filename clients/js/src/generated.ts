// Written by `npm run generate` from the server's schema; do not edit.

export interface BlocklistInput {
  readonly userId?: string | null;
  readonly targetIds: readonly string[];
}

/** The codes of errors: `extensions.code` of each error, and `code` of an item's error. */
export type ErrorCode =
  | 'UNAUTHENTICATED'
  | 'FORBIDDEN'
  | 'INVALID_ARGUMENT'
  | 'QUERY_TOO_COMPLEX'
  | 'USER_NOT_FOUND'
  | 'USER_DEACTIVATED'
  | 'USER_BANNED'
  | 'USER_LIMIT_REACHED'
  | 'FRIEND_LIMIT_REACHED'
  | 'BLOCKLIST_LIMIT_REACHED'
  | 'WHITELIST_LIMIT_REACHED'
  | 'SELF_REFERENCE'
  | 'ALREADY_FRIENDS'
  | 'NOT_FRIENDS'
  | 'BLOCKED'
  | 'NOT_IN_WHITELIST'
  | 'REQUEST_NOT_FOUND'
  | 'REQUESTS_NOT_ACCEPTED'
  | 'NOT_ONLINE'
  | 'WEBHOOK_NOT_FOUND'
  | 'WEBHOOK_LIMIT_REACHED'
  | 'FEATURE_DISABLED'
  | 'RATE_LIMITED'
  | 'TOO_MANY_OPERATIONS'
  | 'UNAVAILABLE'
  | 'BAD_REQUEST'
  | 'GRAPHQL_PARSE_FAILED'
  | 'GRAPHQL_VALIDATION_FAILED'
  | 'PERSISTED_QUERY_NOT_FOUND'
  | 'PERSISTED_QUERY_NOT_SUPPORTED'
  | 'INTERNAL';

export interface FriendRequestInput {
  readonly userId?: string | null;
  readonly requestId: string;
}

export interface LogoutInput {
  readonly allDevices?: boolean | null;
}

/** The outcome for one item of a batch. */
export type Outcome =
  | 'DONE'
  | 'ALREADY'
  | 'NOT_FOUND'
  | 'REFUSED';

/** The platform of a device. */
export type Platform =
  | 'ANDROID'
  | 'IOS'
  | 'HARMONYOS'
  | 'WEB'
  | 'DESKTOP'
  | 'MINI_PROGRAM'
  | 'OTHER';

/** Whether a user is online. */
export type Presence =
  | 'ONLINE'
  | 'OFFLINE'
  | 'UNLOGINED';

/** The kind of a change. */
export type RelationshipEventKind =
  | 'FRIEND_ADDED'
  | 'FRIEND_REMOVED'
  | 'FRIEND_REMARK_CHANGED'
  | 'FRIEND_REQUEST_RECEIVED'
  | 'FRIEND_REQUEST_ACCEPTED'
  | 'FRIEND_REQUEST_DECLINED'
  | 'FRIEND_REQUEST_CANCELLED'
  | 'BLOCK_ADDED'
  | 'BLOCK_REMOVED';

export interface RemoveFriendInput {
  readonly userId?: string | null;
  readonly friendId: string;
}

export interface SendFriendRequestInput {
  readonly userId?: string | null;
  readonly targetId: string;
  readonly message?: string | null;
}

export interface SetFriendRemarkInput {
  readonly userId?: string | null;
  readonly friendId: string;
  readonly remark: string;
}

export interface SetStatusInput {
  readonly userId?: string | null;
  readonly customStatus: string;
}

export type AcceptRequestData = {
  readonly result: {
    readonly friendship: {
      readonly user: {
        readonly id: string;
        readonly name: string;
        readonly avatarUrl: string | null;
        readonly updatedAt: string;
      };
      readonly remark: string | null;
      readonly createdAt: string;
      readonly blocked: boolean;
    };
  } | null;
};
export interface AcceptRequestVariables {
  readonly input: FriendRequestInput;
}

export type BlockData = {
  readonly result: {
    readonly results: readonly {
      readonly outcome: Outcome;
      readonly error: {
        readonly code: ErrorCode;
        readonly message: string;
        readonly limit: number | null;
      } | null;
    }[];
  } | null;
};
export interface BlockVariables {
  readonly input: BlocklistInput;
}

export type BlocksPageData = {
  readonly me: {
    readonly page: {
      readonly nodes: readonly {
        readonly user: {
          readonly id: string;
          readonly name: string;
          readonly avatarUrl: string | null;
          readonly updatedAt: string;
        };
        readonly createdAt: string;
      }[];
      readonly pageInfo: {
        readonly hasNextPage: boolean;
        readonly endCursor: string | null;
      };
    } | null;
  } | null;
};
export interface BlocksPageVariables {
  readonly after?: string | null;
}

export type CancelRequestData = {
  readonly result: {
    readonly __typename: 'CancelFriendRequestPayload';
  } | null;
};
export interface CancelRequestVariables {
  readonly input: FriendRequestInput;
}

export type DeclineRequestData = {
  readonly result: {
    readonly __typename: 'DeclineFriendRequestPayload';
  } | null;
};
export interface DeclineRequestVariables {
  readonly input: FriendRequestInput;
}

export type FriendsPageData = {
  readonly me: {
    readonly page: {
      readonly nodes: readonly {
        readonly user: {
          readonly id: string;
          readonly name: string;
          readonly avatarUrl: string | null;
          readonly updatedAt: string;
        };
        readonly remark: string | null;
        readonly createdAt: string;
        readonly blocked: boolean;
      }[];
      readonly pageInfo: {
        readonly hasNextPage: boolean;
        readonly endCursor: string | null;
      };
    } | null;
  } | null;
};
export interface FriendsPageVariables {
  readonly after?: string | null;
}

export type IncomingPageData = {
  readonly me: {
    readonly page: {
      readonly nodes: readonly {
        readonly id: string;
        readonly from: {
          readonly id: string;
          readonly name: string;
          readonly avatarUrl: string | null;
          readonly updatedAt: string;
        };
        readonly to: {
          readonly id: string;
          readonly name: string;
          readonly avatarUrl: string | null;
          readonly updatedAt: string;
        };
        readonly message: string | null;
        readonly createdAt: string;
        readonly expiresAt: string;
      }[];
      readonly pageInfo: {
        readonly hasNextPage: boolean;
        readonly endCursor: string | null;
      };
    } | null;
  } | null;
};
export interface IncomingPageVariables {
  readonly after?: string | null;
}

export type LogoutData = {
  readonly result: {
    readonly __typename: 'LogoutPayload';
  } | null;
};
export interface LogoutVariables {
  readonly input: LogoutInput;
}

export type MeData = {
  readonly me: {
    readonly id: string;
    readonly status: {
      readonly userId: string;
      readonly presence: Presence;
      readonly customStatus: string;
      readonly changedAt: string | null;
    } | null;
  } | null;
};
export type MeVariables = Record<string, never>;

export type OutgoingPageData = {
  readonly me: {
    readonly page: {
      readonly nodes: readonly {
        readonly id: string;
        readonly from: {
          readonly id: string;
          readonly name: string;
          readonly avatarUrl: string | null;
          readonly updatedAt: string;
        };
        readonly to: {
          readonly id: string;
          readonly name: string;
          readonly avatarUrl: string | null;
          readonly updatedAt: string;
        };
        readonly message: string | null;
        readonly createdAt: string;
        readonly expiresAt: string;
      }[];
      readonly pageInfo: {
        readonly hasNextPage: boolean;
        readonly endCursor: string | null;
      };
    } | null;
  } | null;
};
export interface OutgoingPageVariables {
  readonly after?: string | null;
}

export type RelationshipChangedData = {
  readonly relationshipChanged: {
    readonly kind: RelationshipEventKind;
    readonly user: {
      readonly id: string;
      readonly name: string;
      readonly avatarUrl: string | null;
      readonly updatedAt: string;
    };
    readonly occurredAt: string;
    readonly friendship: {
      readonly user: {
        readonly id: string;
        readonly name: string;
        readonly avatarUrl: string | null;
        readonly updatedAt: string;
      };
      readonly remark: string | null;
      readonly createdAt: string;
      readonly blocked: boolean;
    } | null;
    readonly request: {
      readonly id: string;
      readonly from: {
        readonly id: string;
        readonly name: string;
        readonly avatarUrl: string | null;
        readonly updatedAt: string;
      };
      readonly to: {
        readonly id: string;
        readonly name: string;
        readonly avatarUrl: string | null;
        readonly updatedAt: string;
      };
      readonly message: string | null;
      readonly createdAt: string;
      readonly expiresAt: string;
    } | null;
  };
};
export type RelationshipChangedVariables = Record<string, never>;

export type RemoveFriendData = {
  readonly result: {
    readonly outcome: Outcome;
  } | null;
};
export interface RemoveFriendVariables {
  readonly input: RemoveFriendInput;
}

export type SendRequestData = {
  readonly result: {
    readonly result: {
      readonly id: string;
      readonly from: {
        readonly id: string;
        readonly name: string;
        readonly avatarUrl: string | null;
        readonly updatedAt: string;
      };
      readonly to: {
        readonly id: string;
        readonly name: string;
        readonly avatarUrl: string | null;
        readonly updatedAt: string;
      };
      readonly message: string | null;
      readonly createdAt: string;
      readonly expiresAt: string;
    } | {
      readonly user: {
        readonly id: string;
        readonly name: string;
        readonly avatarUrl: string | null;
        readonly updatedAt: string;
      };
      readonly remark: string | null;
      readonly createdAt: string;
      readonly blocked: boolean;
    };
  } | null;
};
export interface SendRequestVariables {
  readonly input: SendFriendRequestInput;
}

export type SetRemarkData = {
  readonly result: {
    readonly friendship: {
      readonly remark: string | null;
    };
  } | null;
};
export interface SetRemarkVariables {
  readonly input: SetFriendRemarkInput;
}

export type SetStatusData = {
  readonly result: {
    readonly status: {
      readonly userId: string;
      readonly presence: Presence;
      readonly customStatus: string;
      readonly changedAt: string | null;
    };
  } | null;
};
export interface SetStatusVariables {
  readonly input: SetStatusInput;
}

export type StatusChangedData = {
  readonly statusChanged: {
    readonly userId: string;
    readonly presence: Presence;
    readonly customStatus: string;
    readonly changedAt: string | null;
  };
};
export type StatusChangedVariables = Record<string, never>;

export type StatusOfData = {
  readonly userStatus: {
    readonly userId: string;
    readonly presence: Presence;
    readonly customStatus: string;
    readonly changedAt: string | null;
  };
};
export interface StatusOfVariables {
  readonly ids: readonly string[];
}

export type UnblockData = {
  readonly result: {
    readonly results: readonly {
      readonly outcome: Outcome;
      readonly error: {
        readonly code: ErrorCode;
        readonly message: string;
        readonly limit: number | null;
      } | null;
    }[];
  } | null;
};
export interface UnblockVariables {
  readonly input: BlocklistInput;
}

export type UserChangedData = {
  readonly userChanged: {
    readonly id: string;
    readonly name: string;
    readonly avatarUrl: string | null;
    readonly updatedAt: string;
  };
};
export interface UserChangedVariables {
  readonly ids: readonly string[];
}

export type UsersByIDData = {
  readonly users: readonly ({
    readonly id: string;
    readonly name: string;
    readonly avatarUrl: string | null;
    readonly updatedAt: string;
  } | null)[] | null;
};
export interface UsersByIDVariables {
  readonly ids: readonly string[];
}
