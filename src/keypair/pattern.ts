/**
 * Patterns: what a prefix or a suffix may say, read into sets of base58 digits per character.
 * The grind kernel and the exact difficulty work on the same sets. Any thread may use it; a
 * Pattern is plain data and may be posted.
 *
 * A side is literal base58 characters and classes: `[a-z]`, `[A-Z1-9]`, `[abc]`. A class leaves
 * out what base58 lacks (0 O I l) and notes it; a literal that base58 lacks is refused, because no
 * address can have it. Under `ignoreCase` a letter stands for those of its two cases that base58 has.
 */
import { VanityError } from '../errors.ts';
import { digitAt } from './base58-digits.ts';
import { type DigitSet, difficultyOf } from './difficulty.ts';

export interface PatternSource {
  /** '' when there is none; the same for `suffix`. */
  readonly prefix: string;
  readonly suffix: string;
  readonly ignoreCase: boolean;
}

export interface Pattern extends PatternSource {
  /** For people: '...[a-z]Pet', 'abc...', 'abc...xyz (ignore case)'. */
  readonly text: string;
  /** Per character the base58 digits allowed there: bit d for digit d, 0..57. */
  readonly prefixSets: readonly DigitSet[];
  readonly suffixSets: readonly DigitSet[];
  /** Expected attempts per hit, exact. */
  readonly difficulty: number;
  /** For people: what was left out of which class. */
  readonly notes: readonly string[];
}

/** Characters a side, as GRIND_SIDE_MAX in native/kernel.h. */
export const SIDE_MAX = 10;

const BASE58_HAS = 'base58 has 1-9, A-Z without I and O, and a-z without l';
/** A range lies in one of these: between them stand other characters. */
const KINDS = ['0123456789', 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'];

/**
 * Errors: PATTERN_INVALID for what cannot be read, PATTERN_IMPOSSIBLE for characters that no
 * address has, PATTERN_TOO_LONG for more than SIDE_MAX characters a side.
 */
export function parsePattern({ prefix, suffix, ignoreCase }: PatternSource): Pattern {
  if (prefix === '' && suffix === '') {
    throw new VanityError('PATTERN_INVALID', 'a pattern needs a prefix, a suffix or both');
  }
  const front = new SideReader('prefix', prefix, ignoreCase).read();
  const back = new SideReader('suffix', suffix, ignoreCase).read();
  return {
    prefix,
    suffix,
    ignoreCase,
    text: `${prefix}...${suffix}${ignoreCase ? ' (ignore case)' : ''}`,
    prefixSets: front.sets,
    suffixSets: back.sets,
    difficulty: difficultyOf(front.sets, back.sets),
    notes: [...front.notes, ...back.notes],
  };
}

export function matches(pattern: Pattern, address: string): boolean {
  const { prefixSets, suffixSets } = pattern;
  return (
    allowed(suffixSets, address, address.length - suffixSets.length) &&
    allowed(prefixSets, address, 0)
  );
}

function allowed(sets: readonly DigitSet[], address: string, from: number): boolean {
  return sets.every((set, index) => {
    const digit = digitAt(address, from + index);
    return digit !== undefined && ((set >> BigInt(digit)) & 1n) === 1n;
  });
}

/** Reads one side, from left to right; every error names the side and the position. */
class SideReader {
  readonly #side: string;
  readonly #characters: readonly string[];
  readonly #ignoreCase: boolean;
  readonly #notes: string[] = [];
  #at = 0;

  constructor(side: string, text: string, ignoreCase: boolean) {
    this.#side = side;
    this.#characters = [...text];
    this.#ignoreCase = ignoreCase;
  }

  read(): { sets: DigitSet[]; notes: string[] } {
    const sets: DigitSet[] = [];
    while (this.#at < this.#characters.length) {
      sets.push(this.#characters[this.#at] === '[' ? this.#class() : this.#literal());
    }
    if (sets.length > SIDE_MAX) {
      const message = `${this.#side}: ${sets.length} characters; at most ${SIDE_MAX} are possible`;
      throw new VanityError('PATTERN_TOO_LONG', message);
    }
    return { sets, notes: this.#notes };
  }

  #literal(): DigitSet {
    const set = this.#setOf(this.#letter());
    if (set === 0n) throw this.#error('is in no address', 'PATTERN_IMPOSSIBLE');
    this.#at++;
    return set;
  }

  /** From '[' to behind ']'. */
  #class(): DigitSet {
    const start = this.#at;
    let set: DigitSet = 0n;
    let missing = '';
    this.#at++;
    while (this.#characters[this.#at] !== ']') {
      for (const character of this.#range(start)) {
        const digits = this.#setOf(character);
        set |= digits;
        if (digits === 0n && !missing.includes(character)) missing += character;
      }
    }
    this.#at++;
    const text = this.#characters.slice(start, this.#at).join('');
    if (set === 0n) {
      const empty = text === '[]';
      const message = `${this.#side}: the class ${text} at character ${start + 1} allows no character; ${BASE58_HAS}`;
      throw new VanityError(empty ? 'PATTERN_INVALID' : 'PATTERN_IMPOSSIBLE', message);
    }
    if (missing !== '') {
      const are = missing.length === 1 ? 'is' : 'are';
      const names = [...missing].join(', ');
      this.#notes.push(`${text}: ${names} ${are} not in the base58 alphabet and ${are} left out`);
    }
    return set;
  }

  /** One character of a class, or all of a range such as `a-z`; moves behind it. */
  #range(start: number): string {
    const first = this.#classLetter(start);
    this.#at++;
    if (this.#characters[this.#at] !== '-') return first;
    this.#at++;
    const last = this.#classLetter(start);
    const kind = KINDS.find((characters) => characters.includes(first))!;
    if (!kind.includes(last)) {
      throw this.#error(
        `does not end a range from ${first}: both must be digits, capitals or small`,
      );
    }
    if (kind.indexOf(last) < kind.indexOf(first)) {
      throw this.#error(`comes before ${first}: write the range as ${last}-${first}`);
    }
    this.#at++;
    return kind.slice(kind.indexOf(first), kind.indexOf(last) + 1);
  }

  #classLetter(start: number): string {
    if (this.#at >= this.#characters.length) {
      const message = `${this.#side}: the class that opens at character ${start + 1} has no "]"`;
      throw new VanityError('PATTERN_INVALID', message);
    }
    return this.#letter();
  }

  /** The letter or digit here. */
  #letter(): string {
    const character = this.#characters[this.#at]!;
    if (!KINDS.some((characters) => characters.includes(character))) {
      throw this.#error(`cannot be used; write base58 characters and classes such as [a-z]`);
    }
    return character;
  }

  #setOf(character: string): DigitSet {
    const cases = this.#ignoreCase
      ? [character.toLowerCase(), character.toUpperCase()]
      : [character];
    return cases.reduce((set, one) => {
      const digit = digitAt(one, 0);
      return digit === undefined ? set : set | (1n << BigInt(digit));
    }, 0n);
  }

  #error(reason: string, code: 'PATTERN_INVALID' | 'PATTERN_IMPOSSIBLE' = 'PATTERN_INVALID') {
    const character = JSON.stringify(this.#characters[this.#at]);
    const message = `${this.#side}: character ${this.#at + 1}, ${character}, ${reason}; ${BASE58_HAS}`;
    return new VanityError(code, message);
  }
}
