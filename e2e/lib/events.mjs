import { within } from './wait.mjs';

/** What a subscription delivers, in order: a sink for both client libraries. */
export class Events {
  #arrived = [];
  #wanted = [];

  /** The operation's end: resolves with undefined when complete, with the error when refused. */
  ended = new Promise((resolve) => {
    this.complete = () => resolve(undefined);
    this.error = (reason) => resolve(reason);
  });

  next(result) {
    const wanted = this.#wanted.shift();
    if (wanted) wanted(result);
    else this.#arrived.push(result);
  }

  /** The next event as it was sent, waited for: {data, errors}. */
  takeResult() {
    if (this.#arrived.length) return this.#arrived.shift();
    return within(new Promise((resolve) => this.#wanted.push(resolve)), 'an event');
  }

  /** The next event's data alone; one with errors fails the test. */
  async take() {
    const result = await this.takeResult();
    if (result.errors) throw new Error(`an event with errors: ${JSON.stringify(result.errors)}`);
    return Object.values(result.data)[0];
  }

  /** The next event as `ID PRESENCE`. */
  async takeStatus() {
    const { userId, presence } = await this.take();
    return `${userId} ${presence}`;
  }
}

export const statusChanged = 'subscription { statusChanged { userId presence changedAt } }';
export const userStatus = 'subscription ($ids: [ID!]!) { userStatus(ids: $ids) { userId presence changedAt } }';
