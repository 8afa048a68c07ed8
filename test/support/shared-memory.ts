/**
 * Shared memory that reports every access. `WatchedSource` evaluates the text of a source file in
 * a scope where the globals by which memory is shared (`SharedArrayBuffer`, its views, `Atomics`,
 * `Buffer`) are these ones: each access is handed to a `Host`, which performs it on a `Memory`, or
 * does not. Any other name of a global, and any other member of these, is a `Violation`: nothing
 * that the text does to shared memory goes unseen.
 *
 * Plain copies of many bytes (`fill`, `latin1Write`, `latin1Slice`) are not one access but one for
 * each 64 bytes, a cache line: between two of them other threads run. Finer would show nothing new
 * to who also watches the order of accesses (`access-order.ts`). One thread, no time, no chance.
 */
import { stripTypeScriptTypes } from 'node:module';

/** A promise that does not hold. */
export class Violation extends Error {}

/** What is shared, at one moment. */
export class Memory {
  readonly bytes: Buffer;
  readonly words: Int32Array;
  readonly doubles: Float64Array;

  constructor(byteLength: number) {
    const buffer = new ArrayBuffer(byteLength);
    this.bytes = Buffer.from(buffer);
    this.words = new Int32Array(buffer);
    this.doubles = new Float64Array(buffer);
  }

  copy(): Memory {
    const copy = new Memory(this.bytes.length);
    copy.bytes.set(this.bytes);
    return copy;
  }

  /** All bytes, one character each. */
  get text(): string {
    return this.bytes.toString('latin1');
  }
}

/** What an access finds: an element, or bytes as text. Writes find nothing: 0. */
export type Found = number | string;

/** One indivisible access. The same text means the same access. */
export interface Access {
  readonly text: string;
  /** `read` and `write` are plain, the others atomic. */
  readonly kind: 'read' | 'write' | 'load' | 'store' | 'exchange';
  /** Bytes `from` to `to`, `to` not included. */
  readonly from: number;
  readonly to: number;
  /** Does it to `memory`. */
  readonly perform: (memory: Memory) => Found;
  /** Whether it has written, having found that. */
  readonly wrote: (found: Found) => boolean;
}

/** Who performs the accesses of a source. */
export interface Host {
  access(access: Access): Found;
  /** A new SharedArrayBuffer is asked for. */
  allocate(byteLength: number): void;
}

const LINE = 64;

/** Names of the language that share no memory. */
const HARMLESS = { Array, Math, Number, RangeError, TypeError, undefined };

const never = () => false;
const always = () => true;

/** The class or function `name` that the TypeScript `text` declares, its accesses watched. */
export class WatchedSource<T> {
  readonly declared: T;
  readonly #shared = new WeakSet<object>();
  #host: Host | undefined;

  constructor(text: string, name: string) {
    const scope = closed('global', { ...HARMLESS, ...this.#globals() }, always);
    // Private fields become plain ones, for `show`.
    const script = stripTypeScriptTypes(text)
      .replaceAll(/^export /gm, '')
      .replaceAll(/#(?=[a-zA-Z])/g, '_');
    this.declared = new Function('scope', `with (scope) {${script}\nreturn ${name};}`)(scope);
  }

  /** Has `host` perform the accesses that `body` makes. */
  run<R>(host: Host, body: (declared: T) => R): R {
    const before = this.#host;
    this.#host = host;
    try {
      return body(this.declared);
    } finally {
      this.#host = before;
    }
  }

  /** Stands for memory of that size that is there already; a constructor takes it to join. */
  buffer(byteLength: number): SharedArrayBuffer {
    return this.#known(Object.freeze({ byteLength })) as SharedArrayBuffer;
  }

  /** All fields of an object of the source, private ones too; shared memory left out. */
  show(object: object): string {
    const fields = Object.entries(object).filter(([, value]) => !this.#shared.has(value));
    return JSON.stringify(fields);
  }

  #globals(): Record<string, unknown> {
    const source = this;
    const words = new WeakSet<object>();
    const element = (view: object, index: number): number => {
      if (words.has(view) && Number.isInteger(index)) return 4 * index;
      throw new Violation('Atomics: only elements of an Int32Array are watched');
    };
    const name = (from: number) => `word ${from / 4}`;
    return {
      SharedArrayBuffer: function allocate(byteLength: number) {
        source.#host!.allocate(byteLength);
        return source.buffer(byteLength);
      },
      Int32Array: function int32Array(...given: unknown[]) {
        source.#wholeBuffer(given);
        const view = source.#view(4, 'words', {});
        words.add(view);
        return view;
      },
      Float64Array: function float64Array(...given: unknown[]) {
        source.#wholeBuffer(given);
        const fill = (value: number, start: number, end: number) =>
          source.#inLines(8 * start, 8 * end, 'write', `fill ${value}`, (from, to) => (memory) => {
            memory.doubles.fill(value, from / 8, to / 8);
            return '';
          });
        return source.#view(8, 'doubles', { fill });
      },
      Buffer: closed('Buffer', {
        from: (...given: unknown[]) => {
          source.#wholeBuffer(given);
          return source.#known(
            closed('Buffer', {
              latin1Slice: (start: number, end: number) =>
                source.#inLines(start, end, 'read', 'slice', (from, to) => (memory) => {
                  return memory.bytes.toString('latin1', from, to);
                }),
              latin1Write: (text: string, start: number, length: number) => {
                const end = start + Math.min(text.length, length);
                source.#inLines(start, end, 'write', text, (from, to) => (memory) => {
                  memory.bytes.write(text.slice(from - start, to - start), from, 'latin1');
                  return '';
                });
                return end - start;
              },
            }),
          );
        },
      }),
      Atomics: closed('Atomics', {
        load: (view: object, index: number) => {
          const from = element(view, index);
          const perform = (memory: Memory) => memory.words[index]!;
          return source.#access(`load ${name(from)}`, 'load', from, 4, perform, never);
        },
        store: (view: object, index: number, value: number) => {
          const from = element(view, index);
          source.#access(`store ${name(from)} = ${value}`, 'store', from, 4, (memory) => {
            memory.words[index] = value;
            return 0;
          });
          return value;
        },
        compareExchange: (view: object, index: number, expected: number, value: number) => {
          const from = element(view, index);
          const text = `exchange ${name(from)}: ${expected} -> ${value}`;
          const perform = (memory: Memory) => {
            const found = memory.words[index]!;
            if (found === expected) memory.words[index] = value;
            return found;
          };
          return source.#access(text, 'exchange', from, 4, perform, (found) => found === expected);
        },
      }),
    };
  }

  #known(object: object): object {
    this.#shared.add(object);
    return object;
  }

  #wholeBuffer(given: unknown[]): void {
    const [buffer] = given;
    if (given.length === 1 && buffer instanceof Object && this.#shared.has(buffer)) return;
    throw new Violation('only views of a whole SharedArrayBuffer are watched');
  }

  /** A view whose elements are read and written plainly. */
  #view(bytes: 4 | 8, type: 'words' | 'doubles', members: Record<string, unknown>): object {
    const known = closed('view', members);
    const isIndex = (key: string | symbol): key is string => /^\d+$/.test(String(key));
    const name = (key: string) => `${type.slice(0, -1)} ${key}`;
    const get = (_: object, key: string | symbol): unknown => {
      if (!isIndex(key)) return Reflect.get(known, key);
      const index = Number(key);
      const perform = (memory: Memory) => memory[type][index]!;
      return this.#access(`read ${name(key)}`, 'read', index * bytes, bytes, perform);
    };
    const set = (_: object, key: string | symbol, value: number): boolean => {
      if (!isIndex(key)) return Reflect.set(known, key, value);
      const index = Number(key);
      this.#access(`write ${name(key)} = ${value}`, 'write', index * bytes, bytes, (memory) => {
        memory[type][index] = value;
        return 0;
      });
      return true;
    };
    return this.#known(new Proxy(known, { get, set }));
  }

  /** A copy of many bytes, torn; says what was found, end to end. */
  #inLines(
    start: number,
    end: number,
    kind: 'read' | 'write',
    what: string,
    perform: (from: number, to: number) => Access['perform'],
  ): string {
    if (!Number.isInteger(start) || !Number.isInteger(end)) {
      throw new Violation(`${kind} bytes ${start}..${end}: not whole`);
    }
    let found = '';
    for (let from = start; from < end; ) {
      const to = Math.min(end, LINE * (Math.floor(from / LINE) + 1));
      const text = `${kind} bytes ${from}..${to - 1}: ${what}`;
      found += this.#access(text, kind, from, to - from, perform(from, to));
      from = to;
    }
    return found;
  }

  #access<F extends Found>(
    text: string,
    kind: Access['kind'],
    from: number,
    length: number,
    perform: (memory: Memory) => F,
    wrote: Access['wrote'] = kind === 'read' ? never : always,
  ): F {
    return this.#host!.access({ text, kind, from, to: from + length, perform, wrote }) as F;
  }
}

/** Performs each access at once on one memory: a thread that runs alone. At most `most` of them. */
export class Alone implements Host {
  memory: Memory;
  #left: number;

  constructor(memory = new Memory(0), most = 10_000) {
    this.memory = memory;
    this.#left = most;
  }

  access(access: Access): Found {
    if (--this.#left < 0) throw new Violation('alone and without an end');
    if (access.from < 0 || access.to > this.memory.bytes.length) throw outside(access);
    return access.perform(this.memory);
  }

  allocate(byteLength: number): void {
    this.memory = new Memory(byteLength);
  }
}

export function outside(access: Access): Violation {
  return new Violation(`outside of the memory: ${access.text}`);
}

/** `members` and no others: to ask for another one is a Violation. */
function closed(name: string, members: object, has?: () => boolean): object {
  return new Proxy(members, {
    get: (_, key) => {
      if (Object.hasOwn(members, key)) return Reflect.get(members, key);
      if (key === Symbol.unscopables) return undefined;
      throw new Violation(`${name}: ${String(key)} is not watched`);
    },
    set: (_, key) => {
      throw new Violation(`${name}: ${String(key)} is not watched`);
    },
    ...(has && { has }),
  });
}
