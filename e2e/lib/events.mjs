import { within } from './wait.mjs';

/** The events of a subscription, in order: a sink for both client libraries. */
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

  /** Waits for the next event as it was sent: {data, errors}. */
  takeResult() {
    if (this.#arrived.length) return this.#arrived.shift();
    return within(new Promise((resolve) => this.#wanted.push(resolve)), 'an event');
  }

  /** Waits for the next event's data. An event with errors fails the test. */
  async take() {
    const result = await this.takeResult();
    if (result.errors) throw new Error(`an event with errors: ${JSON.stringify(result.errors)}`);
    return Object.values(result.data)[0];
  }

  /** Waits for the next event, as `ID PRESENCE`. */
  async takeStatus() {
    const { userId, presence } = await this.take();
    return `${userId} ${presence}`;
  }
}

export const statusChanged = 'subscription { statusChanged { userId presence changedAt } }';
export const userStatus = 'subscription ($ids: [ID!]!) { userStatus(ids: $ids) { userId presence changedAt } }';
