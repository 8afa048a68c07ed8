/**
 * Server-sent events out of text that comes in pieces, cut anywhere, as the HTML standard reads
 * them (section 9.2.6): comments and fields other than `event` and `data` are left out, and an event
 * that has no end yet waits for it.
 */
export interface ServerSentEvent {
  readonly type: string;
  readonly data: string;
}

export class EventParser {
  #rest = '';
  #type = '';
  #data: string[] = [];

  /** Takes the next piece; gives the events that it completes. */
  push(piece: string): ServerSentEvent[] {
    const text = this.#rest + piece;
    // A carriage return at the end may be the first half of a line's end.
    const whole = text.endsWith('\r') ? text.slice(0, -1) : text;
    const lines = whole.split(/\r\n|\n|\r/);
    this.#rest = lines.pop()! + text.slice(whole.length);
    return lines.flatMap((line) => this.#take(line));
  }

  #take(line: string): ServerSentEvent[] {
    if (line === '') return this.#end();
    const [, name = '', value = ''] = /^([^:]*):? ?(.*)$/s.exec(line)!;
    if (name === 'event') this.#type = value;
    if (name === 'data') this.#data.push(value);
    return [];
  }

  #end(): ServerSentEvent[] {
    const event = { type: this.#type || 'message', data: this.#data.join('\n') };
    const isEvent = this.#data.length > 0;
    this.#type = '';
    this.#data = [];
    return isEvent ? [event] : [];
  }
}
