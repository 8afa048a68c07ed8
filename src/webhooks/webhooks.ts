/**
 * All webhooks of a server: an event becomes one message, which waits for each webhook that asked for events
 * of its type. Runs in the main thread, and delays nothing in it.
 */
import { randomUUID } from 'node:crypto';
import type { WebhookConfig, WebhookEvent } from '../config/webhooks.ts';
import { Endpoint, type Message } from './endpoint.ts';
import { Outbox, type OutboxOptions } from './outbox.ts';

/** What is known of the event, by name; no secret, no address. */
export type EventData = Readonly<Record<string, string | number | null>>;

export class Webhooks {
  readonly #outboxes: readonly (readonly [Outbox, ReadonlySet<WebhookEvent>])[];

  /** Error: CONFIG_INVALID for a secret that the environment lacks. */
  constructor(
    webhooks: readonly WebhookConfig[],
    env: Readonly<Record<string, string | undefined>>,
    options: Pick<OutboxOptions, 'count' | 'log'>,
  ) {
    this.#outboxes = webhooks.map((webhook) => {
      return [new Outbox(new Endpoint(webhook, env), options), new Set(webhook.events)];
    });
  }

  /** Returns at once. */
  raise(type: WebhookEvent, data: EventData): void {
    const message = messageOf(type, data);
    for (const [outbox, events] of this.#outboxes) if (events.has(type)) outbox.post(message);
  }

  /** What waits gets at most `graceMs`. */
  async close(graceMs: number): Promise<void> {
    await Promise.all(this.#outboxes.map(([outbox]) => outbox.close(graceMs)));
  }
}

/** With an id of its own, which a receiver uses to drop what comes twice. */
export function messageOf(type: WebhookEvent | 'webhook.test', data: EventData): Message {
  const timestamp = new Date().toISOString();
  return { id: `msg_${randomUUID()}`, body: JSON.stringify({ type, timestamp, data }) };
}
