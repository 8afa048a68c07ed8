/**
 * What many shapes of the HTTP API have: fields with their description and an example, as pure data in
 * JSON Schema. The description is part of the type, so that it stays in the types of the client.
 */

/** The first key of the tests in RFC 8032: everybody has it, and nothing is worth it. */
export const ADDRESS_EXAMPLE = 'FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z';
export const SECRET_EXAMPLE =
  '49W385L4rePHy6PAaQUovbD2aacgN4HsKXSMeUzRg4fmwXszN91JuMFrQRj3vMDpZuRF3ZknQBuRBoWQJEfXstMw';
export const SIGNATURE_EXAMPLE =
  '5awYiUvGiDFA33EJjj4TXJG44a5afJc8QjWRpGgQiu6b23jCr7yndW2fmp9ujwqJVe32J456wV3VF78Asb1obnTc';
export const HASH_EXAMPLE = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08';
const TIME_EXAMPLE = '2026-01-01T00:00:00.000Z';

/** Of a reply with a secret. */
export const NO_STORE = {
  'Cache-Control': { const: 'no-store', description: 'It holds a secret.' },
} as const;

export const LOCATION = {
  Location: { type: 'string', description: 'The path of what was made.' },
} as const;

export function text<D extends string>(description: D, example: string) {
  return { type: 'string', description, examples: [example] } as const;
}

export function addressText() {
  const description = 'Base58 of the public key.';
  const examples = [ADDRESS_EXAMPLE];
  return { type: 'string', minLength: 32, maxLength: 44, description, examples } as const;
}

export function originText() {
  const description = 'How it came into the pool.';
  return { enum: ['ground', 'imported'], description, examples: ['ground'] } as const;
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
