/**
 * A reader of server-sent events over a real connection, for tests: keeps what came as text and as
 * events. It reads until it is asked to pause or to leave.
 */
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ReadEvent {
  readonly id: string;
  readonly event: string;
  readonly data: string;
}

export class EventReader {
  readonly reply: IncomingMessage;
  text = '';
  hasEnded = false;
  readonly #call: ClientRequest;

  /** `url` of a stream, also where the answer is a refusal. */
  static open(url: string | URL, headers: Record<string, string> = {}): Promise<EventReader> {
    return new Promise((resolve, reject) => {
      const call = request(url, { agent: false, headers }, (reply) =>
        resolve(new EventReader(call, reply)),
      );
      call.on('error', reject).end();
    });
  }

  private constructor(call: ClientRequest, reply: IncomingMessage) {
    this.#call = call;
    this.reply = reply;
    reply.setEncoding('utf8').on('data', (chunk: string) => {
      this.text += chunk;
    });
    reply
      .on('error', () => undefined)
      .on('close', () => {
        this.hasEnded = true;
      });
  }

  /** Those that came whole. */
  get events(): ReadEvent[] {
    const blocks = this.text.split('\n\n').slice(0, -1);
    return blocks.flatMap((block) => {
      const fields = block.split('\n').map((line) => line.match(/^(\w+): (.*)$/)?.slice(1) ?? []);
      const { id, event, data } = Object.fromEntries(fields);
      return data === undefined ? [] : [{ id: String(id), event: String(event), data }];
    });
  }

  /** Waits until so many have come; the test's own time limit ends it. */
  async until(count: number): Promise<ReadEvent[]> {
    while (this.events.length < count && !this.hasEnded) await sleep(5);
    return this.events;
  }

  async untilEnded(): Promise<void> {
    while (!this.hasEnded) await sleep(5);
  }

  leave(): void {
    this.#call.destroy();
  }
}
