/**
 * What many shapes of the HTTP API have: fields with their description and an example. The description is
 * part of the type, so that it stays in the types of the client.
 *
 * The shapes, by resource in the files beside this one, are JSON Schema: what requests are checked
 * against, what the OpenAPI document shows, and, as types only, what clients are written against. Pure
 * data, written out as it is: a library that builds it would add 0.1 s to every start.
 */
import { POOL_SETTINGS, SIGNED_NAMES } from '../config/pool-settings.ts';

/** The first key of the tests in RFC 8032: everybody has it, and nothing is worth it. */
export const ADDRESS_EXAMPLE = 'FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z';
export const SECRET_EXAMPLE =
  '49W385L4rePHy6PAaQUovbD2aacgN4HsKXSMeUzRg4fmwXszN91JuMFrQRj3vMDpZuRF3ZknQBuRBoWQJEfXstMw';
/** The same key, expanded. */
export const EXPANDED_EXAMPLE =
  '3Uzd2TJgFFjc61KfT5oWA1m9g2G2cdvbtLWmmeBJaVe9sWcbgmPnByeaZWyRDg2EpUKnJZGJPsafHwba18LCPCw8';
export const SIGNATURE_EXAMPLE =
  '5awYiUvGiDFA33EJjj4TXJG44a5afJc8QjWRpGgQiu6b23jCr7yndW2fmp9ujwqJVe32J456wV3VF78Asb1obnTc';
export const HASH_EXAMPLE = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08';
const TIME_EXAMPLE = '2026-01-01T00:00:00.000Z';

/** A pattern for machines, and the same in words: the document has the pattern, a refusal the words. */
interface PatternOfText {
  readonly pattern: string;
  readonly words: string;
}

export const POOL_NAME: PatternOfText = {
  pattern: POOL_SETTINGS.name.pattern,
  words: '1 to 63 lower-case letters, digits, "-" and "_", a letter or a digit first',
};
export const TOKEN_NAME: PatternOfText = {
  pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$',
  words: '1 to 63 letters, digits, ".", "-" and "_", a letter or a digit first',
};
export const PRINTABLE: PatternOfText = {
  pattern: '^[ -~]+$',
  words: 'printable ASCII characters',
};
export const BASE64: PatternOfText = {
  pattern: '^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$',
  words: 'base64, with padding',
};
export const PROGRAM: PatternOfText = {
  pattern: POOL_SETTINGS.signPrograms.pattern,
  words: `${SIGNED_NAMES.join(', ')}, the id of a program, or "<id>:<hex>"`,
};
export const ADDRESS: PatternOfText = {
  pattern: POOL_SETTINGS.signWith.pattern,
  words: 'an address',
};
export const PATTERNS: readonly PatternOfText[] = [
  ...[POOL_NAME, TOKEN_NAME, PRINTABLE, BASE64],
  ...[PROGRAM, ADDRESS],
];

/** Of a reply with a secret. */
export const NO_STORE = {
  'Cache-Control': { type: 'string', const: 'no-store', description: 'It holds a secret.' },
} as const;

export const LOCATION = {
  Location: { type: 'string', description: 'The path of what was made.' },
} as const;

export function text<D extends string>(description: D, example: string) {
  return { type: 'string', description, examples: [example] } as const;
}

/** One that only its user knows: an example would be taken for a value. */
export function ownText<D extends string>(description: D) {
  return { type: 'string', description } as const;
}

export function addressText() {
  const description = 'Base58 of the public key.';
  const examples = [ADDRESS_EXAMPLE];
  return { type: 'string', minLength: 32, maxLength: 44, description, examples } as const;
}

export function originText() {
  const description = 'How it came into the pool.';
  const values = ['ground', 'imported'] as const;
  return { type: 'string', enum: values, description, examples: ['ground'] } as const;
}

export function flag<D extends string>(description: D) {
  return { type: 'boolean', description, examples: [false] } as const;
}

/** `description` says of what. */
export function figure<D extends string>(description: D, example: number) {
  return { type: 'integer', minimum: 0, description, examples: [example] } as const;
}

export function time<D extends string>(description: D) {
  const examples = [TIME_EXAMPLE];
  return { type: 'string', format: 'date-time', description, examples } as const;
}

export function nullableTime<D extends string>(description: D) {
  const examples = [TIME_EXAMPLE, null];
  return { type: ['string', 'null'], format: 'date-time', description, examples } as const;
}

export function nullableText<D extends string>(description: D, example: string) {
  return { type: ['string', 'null'], description, examples: [example, null] } as const;
}
