/**
 * Cuts a text with any number of keys into entries, one for each key, as the text comes in: a file may be
 * larger than memory. Any thread may use it. What an entry holds is for key-text.ts to say.
 *
 * A text is a sequence of JSON values and of lines. A JSON array whose first item is not a number is a list, and each
 * of its items an entry; so a list of a million keys is never parsed as a whole. Empty lines and those that begin
 * with `#` are passed over.
 */

/** A key, or whatever is in the place of one. */
export interface KeyEntry {
  /** On which it begins, from 1. */
  readonly line: number;
  /** Of an item of a list, from 1. */
  readonly item: number | undefined;
  /** A JSON array, object or string, or a line without the spaces around it. */
  readonly text: string;
}

/** Why the rest of a text cannot be cut: nothing follows it. */
export interface Broken {
  readonly line: number;
  readonly item: number | undefined;
  readonly reason: string;
}

/** Of 1000 addresses in a reply of the server, three times over. */
const ENTRY_MAX = 1_048_576;

/** Where the reader is: outside of everything, or within what the name says. */
type State = 'between' | 'comment' | 'line' | 'bracket' | 'value' | 'list' | 'astray' | 'over';

const [TAB, LINE_FEED, RETURN, SPACE] = [9, 10, 13, 32];
const [QUOTE, HASH, COMMA, BACKSLASH] = [34, 35, 44, 92];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [91, 93, 123, 125];

export class KeyEntries {
  #state: State = 'between';
  #line = 1;
  /** Of the entry that is being read: its line, what earlier parts had of it, where it is in this one. */
  #begun = 1;
  #text = '';
  #from = 0;
  /** Brackets that are open in it. */
  #depth = 0;
  #isString = false;
  #isEscaped = false;
  /** Items of the list so far; undefined outside of one. */
  #item: number | undefined;
  #isItemNext = false;

  /** The entries that end in the next part of the text. */
  *read(part: string): Generator<KeyEntry | Broken, void> {
    this.#from = 0;
    for (let at = 0; at < part.length && this.#state !== 'over'; at++) {
      const code = part.charCodeAt(at);
      const isLast = this.#step(code, at);
      if (code === 0) yield this.#broken('not text in UTF-8: it has zero bytes');
      else if (isLast) yield this.#entry(part.slice(this.#from, code === LINE_FEED ? at : at + 1));
      else if (this.#state === 'astray') {
        yield this.#broken('a list that goes on with neither a comma, a key nor its end');
      }
      if (code === LINE_FEED) this.#line++;
    }
    if (!isEntry(this.#state)) return;
    this.#text += part.slice(this.#from);
    if (this.#text.length > ENTRY_MAX) {
      yield this.#broken(`more than ${ENTRY_MAX} characters that end neither a line nor a value`);
    }
  }

  /** What the end of the text ends. */
  *end(): Generator<KeyEntry | Broken, void> {
    if (this.#state === 'over') return;
    if (this.#state === 'line') yield this.#entry('');
    else if (isEntry(this.#state) || this.#item !== undefined) {
      yield this.#broken('it ends in the middle of a JSON value');
    }
  }

  /** Takes one character; whether it is the last one of an entry. */
  #step(code: number, at: number): boolean {
    switch (this.#state) {
      case 'comment':
        if (code === LINE_FEED) this.#state = 'between';
        return false;
      case 'line':
        return code === LINE_FEED;
      case 'value':
        return this.#isLastOfValue(code);
      case 'bracket':
        return this.#afterBracket(code, at);
      case 'list':
        this.#inList(code, at);
        return false;
      default:
        this.#between(code, at);
        return false;
    }
  }

  #between(code: number, at: number): void {
    if (isSpace(code)) return;
    if (code === HASH) this.#state = 'comment';
    else if (code === OPEN_OBJECT) this.#begin('value', code, at);
    else this.#begin(code === OPEN_LIST ? 'bracket' : 'line', code, at);
  }

  /** Of numbers, or of keys? */
  #afterBracket(code: number, at: number): boolean {
    if (isSpace(code)) return false;
    if (code !== OPEN_LIST && code !== OPEN_OBJECT && code !== QUOTE) {
      this.#state = 'value';
      return this.#isLastOfValue(code);
    }
    this.#text = '';
    this.#depth = 0;
    this.#item = 0;
    this.#isItemNext = true;
    this.#inList(code, at);
    return false;
  }

  #inList(code: number, at: number): void {
    this.#state = 'list';
    if (isSpace(code)) return;
    if (this.#isItemNext) {
      this.#isItemNext = false;
      const isItem = code === OPEN_LIST || code === OPEN_OBJECT || code === QUOTE;
      this.#item!++;
      this.#begin(isItem ? 'value' : 'astray', code, at);
    } else if (code === COMMA) {
      this.#isItemNext = true;
    } else if (code === CLOSE_LIST) {
      this.#item = undefined;
      this.#state = 'between';
    } else {
      this.#begin('astray', code, at);
    }
  }

  #begin(state: State, code: number, at: number): void {
    this.#state = state;
    this.#begun = this.#line;
    this.#from = at;
    if (state !== 'line') this.#isLastOfValue(code);
  }

  #isLastOfValue(code: number): boolean {
    if (this.#isString) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (code === BACKSLASH) this.#isEscaped = true;
      else if (code === QUOTE) this.#isString = false;
      return !this.#isString && this.#depth === 0;
    }
    if (code === QUOTE) this.#isString = true;
    else if (code === OPEN_LIST || code === OPEN_OBJECT) this.#depth++;
    else if (code === CLOSE_LIST || code === CLOSE_OBJECT) this.#depth--;
    return this.#depth === 0 && !this.#isString;
  }

  #entry(rest: string): KeyEntry {
    const text = (this.#text + rest).trim();
    this.#text = '';
    this.#depth = 0;
    this.#state = this.#item === undefined ? 'between' : 'list';
    return { line: this.#begun, item: this.#item, text };
  }

  #broken(reason: string): Broken {
    this.#text = '';
    this.#state = 'over';
    return { line: this.#begun, item: this.#item, reason };
  }
}

/** Whether what is read belongs to an entry, or may. */
function isEntry(state: State): boolean {
  return state === 'line' || state === 'value' || state === 'bracket';
}

function isSpace(code: number): boolean {
  return code === SPACE || code === LINE_FEED || code === RETURN || code === TAB;
}
