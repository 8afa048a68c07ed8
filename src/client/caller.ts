/**
 * One call to the server: as many requests as it takes, within one time limit. Runs in Node.js and
 * in browsers.
 *
 * A call that is `repeatable` is the same however often it is sent (it carries an idempotency key,
 * or changes nothing the second time), so it is sent again when no whole reply came, and when the
 * server said "later": 503, 429, or 409 IDEMPOTENCY_IN_FLIGHT. It waits as long as `Retry-After`
 * says and by chance a little longer, so that clients that were refused together do not all come
 * again together. A wait that does not fit into the time that is left is not begun: the error is
 * thrown at once.
 */
import { type ClientErrorCode, VanitypoolError } from './error.ts';
import { isTime, sleep, TIME_MAX_MS, TimeLimit } from './time-limit.ts';

/** Before the first repetition without a `Retry-After`; twice as long before each further one. */
const PAUSE_MS = 250;
const PAUSE_MAX_MS = 4000;
/** So much of a wait is added to it at most. */
const JITTER = 0.25;
/** What proxies say when the server behind them does not answer. */
const GATEWAY_STATUS: readonly number[] = [502, 503, 504];

export interface Ask {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** From the root of the server, escaped. */
  readonly path: string;
  readonly body?: object | undefined;
  readonly idempotencyKey?: string | undefined;
  readonly repeatable: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** What is used of a reply: each `Response` has it. */
export interface FetchReply {
  readonly ok: boolean;
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body: { getReader(): FetchReader } | null;
  text(): Promise<string>;
}

export interface FetchReader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
}

export interface FetchRequest {
  readonly method: string;
  readonly headers: Record<string, string>;
  /** JSON; none without it. */
  readonly body?: string;
  /** Ends the request, and the reply until it is whole. */
  readonly signal: AbortSignal;
  readonly cache: 'no-store';
  readonly credentials: 'omit';
  readonly redirect: 'error';
}

/** What is used of `fetch`: one that goes another way has to do no more. */
export type Fetch = (url: string, request: FetchRequest) => Promise<FetchReply>;

export interface PiecesOptions {
  /** The media type that the reply has to have. */
  readonly type: string;
  /** Default: the time limit of a call. */
  readonly silenceMs?: number | undefined;
  /** Called once with the size of the whole in bytes, before the first piece, if the server says it. */
  readonly onSize?: ((bytes: number) => void) | undefined;
}

export interface CallerOptions {
  /** Without a slash at its end. */
  readonly url: string;
  readonly token: string | undefined;
  readonly timeoutMs: number;
  readonly retries: number;
  readonly fetch: Fetch;
}

export class Caller {
  readonly #options: CallerOptions;

  constructor(options: CallerOptions) {
    this.#options = options;
  }

  /** The JSON of the reply, undefined if it has none. Errors: VanitypoolError, the signal's reason. */
  async call(ask: Ask): Promise<unknown> {
    const { timeoutMs, retries } = this.#options;
    const limit = new TimeLimit(timeoutMs, ask.signal);
    let last: VanitypoolError | undefined;
    try {
      for (let sent = 1; ; sent++) {
        try {
          const read = async (reply: FetchReply) => parsed(await reply.text(), reply.status);
          return await this.#request(ask, limit.signal, read);
        } catch (error) {
          if (limit.isOver) throw limit.error(last ?? error);
          if (!ask.repeatable || sent > retries || !isPassing(error)) throw error;
          last = error;
        }
        const pauseMs = pauseAfter(last, sent);
        if (pauseMs > limit.leftMs) throw last;
        await sleep(pauseMs * (1 + JITTER * Math.random()), limit.signal);
        if (limit.isOver) throw limit.error(last);
      }
    } finally {
      limit.end();
    }
  }

  /**
   * A reply in pieces, as they come; `silenceMs` is for each of them. Ends when it is whole. Asks once.
   */
  async *bytes(
    ask: Ask,
    { type, silenceMs = this.#options.timeoutMs, onSize }: PiecesOptions,
  ): AsyncGenerator<Uint8Array, void> {
    if (!isTime(silenceMs)) {
      throw new VanitypoolError('REQUEST_INVALID', `silenceMs: allowed: 1 to ${TIME_MAX_MS}`);
    }
    const limit = new TimeLimit(silenceMs, ask.signal);
    try {
      const reader = await this.#request(ask, limit.signal, async ({ body, headers, status }) => {
        if (headers.get('content-type')?.startsWith(type)) {
          const size = headers.get('content-length');
          if (size !== null) onSize?.(Number(size));
          return body!.getReader();
        }
        throw new VanitypoolError('REPLY_INVALID', `the reply is not ${type}`, { status });
      });
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        limit.restart();
        yield value!;
      }
    } catch (error) {
      const failure = this.#vanitypoolError(ask, error);
      throw limit.isOver ? limit.error(failure) : failure;
    } finally {
      limit.end();
    }
  }

  /** Events without an end: one is UNREACHABLE, with the status of the reply. Asks once. */
  async *stream(ask: Ask, silenceMs: number | undefined): AsyncGenerator<string, void> {
    const decoder = new TextDecoder();
    for await (const piece of this.bytes(ask, { type: 'text/event-stream', silenceMs })) {
      yield decoder.decode(piece, { stream: true });
    }
    throw new VanitypoolError('UNREACHABLE', 'the server has ended the stream', { status: 200 });
  }

  /**
   * After an error of a stream, which was opened `sent` times in a row without success: waits, or throws the
   * error if a retry cannot help.
   */
  async waitAfter(error: unknown, sent: number, signal: AbortSignal | undefined): Promise<void> {
    if (sent > this.#options.retries || !isPassing(error)) throw error;
    await sleep(pauseAfter(error, sent) * (1 + JITTER * Math.random()), signal);
  }

  async #request<T>(
    ask: Ask,
    signal: AbortSignal,
    read: (reply: FetchReply) => Promise<T>,
  ): Promise<T> {
    const { url, token, fetch } = this.#options;
    const { method, path, body, idempotencyKey } = ask;
    const json = body === undefined ? undefined : jsonOf(body);
    try {
      const reply = await fetch(`${url}${path}`, {
        method,
        headers: {
          ...(token !== undefined && { authorization: `Bearer ${token}` }),
          ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
          ...(json !== undefined && { 'content-type': 'application/json' }),
        },
        ...(json !== undefined && { body: json }),
        signal,
        cache: 'no-store',
        credentials: 'omit',
        redirect: 'error',
      });
      if (reply.ok) return await read(reply);
      throw problemOf(await reply.text(), reply);
    } catch (error) {
      throw this.#vanitypoolError(ask, error);
    }
  }

  /** Wraps a failed request, naming method and URL. */
  #vanitypoolError({ method, path }: Ask, error: unknown): VanitypoolError {
    if (error instanceof VanitypoolError) return error;
    const detail = `${method} ${this.#options.url}${path}: no whole reply came`;
    return new VanitypoolError('UNREACHABLE', detail, { cause: error });
  }
}

/** Here, because inside of `fetch` what is no JSON would look like a server that is away. */
function jsonOf(body: object): string {
  try {
    return JSON.stringify(body);
  } catch (error) {
    const detail = `nothing was sent: the body is not JSON: ${(error as Error).message}`;
    throw new VanitypoolError('REQUEST_INVALID', detail);
  }
}

/** An error that the same request may not meet again. */
export function isPassing(error: unknown): error is VanitypoolError {
  if (!(error instanceof VanitypoolError)) return false;
  const { code, status } = error;
  if (code === 'UNREACHABLE' || code === 'TIMEOUT' || code === 'IDEMPOTENCY_IN_FLIGHT') return true;
  return status === 503 || status === 429;
}

/** In ms, after so many requests. */
export function pauseAfter({ retryAfterSeconds }: VanitypoolError, sent: number): number {
  if (retryAfterSeconds !== undefined) return retryAfterSeconds * 1000;
  return Math.min(PAUSE_MS * 2 ** (sent - 1), PAUSE_MAX_MS);
}

/** The text goes nowhere: a part of it, as a SyntaxError quotes it, may be a secret. */
export function parsed(text: string, status: number | undefined): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new VanitypoolError('REPLY_INVALID', 'the reply is not JSON', { status });
  }
}

function problemOf(text: string, { status, headers }: FetchReply): VanitypoolError {
  // A proxy may send a date, which is useless without its clock.
  const seconds = headers.get('retry-after') ?? '';
  const retryAfterSeconds = /^\d+$/.test(seconds) ? Number(seconds) : undefined;
  const extras = { status, retryAfterSeconds };
  const { code, detail } = problemIn(text);
  if (typeof code === 'string' && typeof detail === 'string') {
    return new VanitypoolError(code as ClientErrorCode, detail, extras);
  }
  const kind = GATEWAY_STATUS.includes(status) ? 'UNREACHABLE' : 'REPLY_INVALID';
  return new VanitypoolError(kind, `status ${status}, and no word of vanitypool's`, extras);
}

function problemIn(text: string): { code?: unknown; detail?: unknown } {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}
