import type { ErrorCode } from './generated';

/**
 * What is wrong beyond the server's codes: no connection in time (OFFLINE), a connection that was
 * lost during the call, so that a change may have been made (CONNECTION_LOST), no answer in time
 * (TIMEOUT), `close` was called (CLOSED), the token function or the provider failed or returned
 * nonsense, another device took this one's place, the app is disabled, or the user logged out.
 */
export type ClientErrorCode =
  | 'OFFLINE'
  | 'CONNECTION_LOST'
  | 'TIMEOUT'
  | 'CLOSED'
  | 'TOKEN_FAILED'
  | 'PROVIDER_FAILED'
  | 'DEVICE_LIMIT'
  | 'APP_DISABLED'
  | 'LOGGED_OUT';

/** The codes of a RollcallError. A newer server may send others. */
export type RollcallErrorCode = ErrorCode | ClientErrorCode | (string & {});

/** The further values of an error. */
export interface ErrorDetails {
  /** After how many milliseconds to try again, with RATE_LIMITED. */
  readonly retryAfterMs?: number;
  /** The user that the error is about. */
  readonly userId?: string;
  /** The limit that is reached, with the codes that end in LIMIT_REACHED. */
  readonly limit?: number | undefined;
  /** When a ban ends (RFC 3339), with USER_BANNED; missing for a ban without an end. */
  readonly until?: string | undefined;
  /** The path of the invalid value, with INVALID_ARGUMENT. */
  readonly field?: string;
  /** The rule that the value violates, with INVALID_ARGUMENT. */
  readonly rule?: string;
  /** The request's ID in the log of the server. */
  readonly requestId?: string;
  /** What a function of the app threw. */
  readonly cause?: unknown;
}

/** The only kind of error that this library throws, rejects with and reports. */
export class RollcallError extends Error {
  /** What is wrong, for programs. */
  readonly code: RollcallErrorCode;
  /** Further values. */
  readonly details: ErrorDetails;

  constructor(code: RollcallErrorCode, message: string, details: ErrorDetails = {}) {
    super(message);
    this.name = 'RollcallError';
    this.code = code;
    this.details = details;
  }
}

/** Returns the first error of a GraphQL response, or that of anything else that was thrown. */
export function toError(thrown: unknown, fallback: RollcallErrorCode = 'CONNECTION_LOST'): RollcallError {
  if (thrown instanceof RollcallError) return thrown;
  const first = [thrown].flat()[0] as { message?: unknown; extensions?: { code?: string } & ErrorDetails } | undefined;
  const extensions = first?.extensions;
  return new RollcallError(extensions?.code ?? fallback, String(first?.message || fallback), extensions ?? { cause: thrown });
}

/** Returns the error of an option that is missing or wrong. */
export const invalid = (field: string) => new RollcallError('INVALID_ARGUMENT', `invalid ${field}`, { field });

/** Returns the error of an answer of the server that lacks what it must have. */
export const incomplete = () => toError(undefined, 'UNAVAILABLE');

/** Returns the error of a function of the app that threw, or returned nonsense. */
export const failedIn = (name: string, code: RollcallErrorCode, cause: unknown) => new RollcallError(code, `${name}: ${toError(cause).message}`, { cause });

/** Returns a promise that rejects with `code` after `ms`. What `start` returns is called at the end. */
export function inTime<T>(
  start: (resolve: (value: T | Promise<T>) => void, reject: (error: unknown) => void) => void | (() => void),
  ms: number,
  code: RollcallErrorCode = 'TIMEOUT',
): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  let end: void | (() => void);
  return new Promise<T>((resolve, reject) => {
    timer = setTimeout(() => reject(new RollcallError(code, 'no answer')), ms);
    // A promise must not be passed to `resolve`, which would leave the timer without effect.
    end = start((value) => void Promise.resolve(value).then(resolve, reject), reject);
  }).finally(() => {
    clearTimeout(timer);
    end?.();
  });
}
