/**
 * Reads bytes from front to end, each number in its one encoding. Pure; any thread may use it. What does
 * not fit is MESSAGE_INVALID, with the offset and the field.
 */
import { VanityError } from '../errors.ts';

export class WireReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  byte(field: string): number {
    return this.bytes(1, field)[0]!;
  }

  /** Two or four bytes, the lowest first. */
  number(length: 2 | 4, field: string): number {
    const bytes = this.bytes(length, field);
    return Buffer.from(bytes.buffer, bytes.byteOffset, length).readUIntLE(0, length);
  }

  /** A view. */
  bytes(length: number, field: string): Uint8Array {
    const rest = this.#bytes.length - this.#at;
    if (length > rest) throw this.#wrong(field, `${length} bytes needed, ${rest} left`);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  /** A compact-u16: 7 bits a byte, the lowest first; the top bit says that another follows. */
  length(field: string): number {
    const start = this.#at;
    let value = 0;
    for (let shift = 0; shift < 21; shift += 7) {
      const byte = this.byte(field);
      value += (byte & 0x7f) << shift;
      if (byte >= 0x80) continue;
      const isShortest = byte > 0 || shift === 0;
      if (isShortest && value <= 0xffff) return value;
      break;
    }
    this.#at = start;
    throw this.#wrong(field, 'the length is no compact-u16 in its shortest form');
  }

  /** As many as a compact-u16 in front of them says. */
  list<T>(field: string, readItem: () => T): T[] {
    return this.items(this.length(field), readItem);
  }

  items<T>(count: number, readItem: () => T): T[] {
    const items: T[] = [];
    for (let rest = count; rest > 0; rest--) items.push(readItem());
    return items;
  }

  end(): void {
    const rest = this.#bytes.length - this.#at;
    if (rest > 0) throw this.#wrong('end', `${rest} bytes behind the message`);
  }

  #wrong(field: string, what: string): VanityError {
    return invalid(`offset ${this.#at}, ${field}: ${what}`);
  }
}

export function invalid(what: string): VanityError {
  return new VanityError('MESSAGE_INVALID', `message: ${what}`);
}
