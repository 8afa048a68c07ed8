/**
 * Where a webhook leads, and one delivery to it: a POST that is signed as the Standard Webhooks specification
 * says (version 1, symmetric). No redirect is followed: it could lead a message to any machine. The answer is
 * its status, and no byte of its body is read. Any thread may use it.
 *
 * What is said of an endpoint is its scheme and host: path and query are often a secret.
 */
import { createHmac } from 'node:crypto';
import { keyOf, SECRET_FORM, type WebhookConfig } from '../config/webhooks.ts';
import { VanityError } from '../errors.ts';

const TIMEOUT_MS = 10_000;

/** Sent until one attempt succeeds, always with the same id and body. */
export interface Message {
  readonly id: string;
  /** JSON. */
  readonly body: string;
}

export interface Answer {
  readonly isAccepted: boolean;
  /** `status 204`, or why there was no answer. */
  readonly reason: string;
}

export class Endpoint {
  /** `https://hooks.example.com`: for people. */
  readonly origin: string;
  readonly #url: string;
  readonly #key: Buffer;
  readonly #timeoutMs: number;

  /** Error: CONFIG_INVALID for a variable that has no secret. `timeoutMs`: of one attempt. */
  constructor(
    { label, url, secret }: Pick<WebhookConfig, 'label' | 'url' | 'secret'>,
    env: Readonly<Record<string, string | undefined>>,
    timeoutMs = TIMEOUT_MS,
  ) {
    const name = /^env:(.+)$/.exec(secret)?.[1];
    const key = keyOf(name === undefined ? secret : (env[name]?.trim() ?? ''));
    if (key === undefined) {
      const state = env[name!] === undefined ? 'is not set' : 'has another form';
      const detail = `${label}.secret: the variable ${name} ${state}; allowed: ${SECRET_FORM}`;
      throw new VanityError('CONFIG_INVALID', detail);
    }
    this.origin = new URL(url).origin;
    this.#url = url;
    this.#key = key;
    this.#timeoutMs = timeoutMs;
  }

  /** One attempt, which `signal` ends. Never rejects. */
  async send({ id, body }: Message, signal?: AbortSignal): Promise<Answer> {
    // Of this attempt: a receiver refuses what is older than some minutes.
    const timestamp = Math.floor(Date.now() / 1000);
    const limit = AbortSignal.timeout(this.#timeoutMs);
    try {
      const response = await fetch(this.#url, {
        method: 'POST',
        redirect: 'manual',
        headers: {
          'content-type': 'application/json',
          'user-agent': 'vanitypool',
          'webhook-id': id,
          'webhook-timestamp': String(timestamp),
          'webhook-signature': `v1,${this.#sign(`${id}.${timestamp}.${body}`)}`,
        },
        body,
        signal: signal === undefined ? limit : AbortSignal.any([limit, signal]),
      });
      void response.body?.cancel().catch(() => undefined);
      return { isAccepted: response.ok, reason: `status ${response.status}` };
    } catch (error) {
      if (limit.aborted) {
        return { isAccepted: false, reason: `no answer within ${this.#timeoutMs / 1000} s` };
      }
      if (signal?.aborted) return { isAccepted: false, reason: 'the server stops' };
      return { isAccepted: false, reason: `no answer (${codeOf(error)})` };
    }
  }

  #sign(text: string): string {
    return createHmac('sha256', this.#key).update(text).digest('base64');
  }
}

/** The code alone: a message could contain the URL. */
function codeOf(error: unknown): string {
  const { cause } = error as Error;
  // Ports of other services, which `fetch` never connects to.
  if ((cause as Error | undefined)?.message === 'bad port') return 'this port is not allowed';
  const { code, errors } = (cause ?? {}) as NodeJS.ErrnoException & Partial<AggregateError>;
  return String(code ?? errors?.[0]?.code ?? 'the connection failed');
}
