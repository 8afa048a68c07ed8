/** The shapes of imports. Pure data. */
import type { FromSchema } from 'json-schema-to-ts';
import {
  ADDRESS_EXAMPLE,
  addressText,
  EXPANDED_EXAMPLE,
  figure,
  SECRET_EXAMPLE,
  text,
} from './fields.ts';

export const IMPORT_LIMIT = 1000;

const pool = text('The name of the pool that they come into.', 'pet');

const secretKeys = {
  type: 'array',
  minItems: 1,
  maxItems: IMPORT_LIMIT,
  items: { type: 'string', maxLength: 88 },
  description: 'Base58 of 64 bytes each: the seed, then the public key.',
  examples: [[SECRET_EXAMPLE]],
} as const;

const expandedKeys = {
  type: 'array',
  minItems: 1,
  maxItems: IMPORT_LIMIT,
  items: {
    type: 'object',
    additionalProperties: false,
    required: ['address', 'expandedKey'],
    properties: {
      address: { ...addressText(), maxLength: 44 },
      expandedKey: {
        ...text('Base58 of 64 bytes: the scalar, then the nonce prefix.', EXPANDED_EXAMPLE),
        maxLength: 88,
      },
    },
  },
  description: 'Instead, for a pool of expanded keys: each with the address that it signs for.',
  examples: [[{ address: ADDRESS_EXAMPLE, expandedKey: EXPANDED_EXAMPLE }]],
} as const;

const properties = { pool, secretKeys, expandedKeys } as const;

/** Keys of one type: each kind written out in full, since generators of clients read one alone. */
export const ImportBody = {
  type: 'object',
  additionalProperties: false,
  required: ['pool'],
  properties,
  oneOf: [
    { type: 'object', additionalProperties: false, required: ['pool', 'secretKeys'], properties },
    { type: 'object', additionalProperties: false, required: ['pool', 'expandedKeys'], properties },
  ],
  examples: [{ pool: 'pet', secretKeys: [SECRET_EXAMPLE] }],
} as const;
export type ImportBody = FromSchema<typeof ImportBody>;
export type ExpandedKeyToImport = FromSchema<typeof expandedKeys.items>;

export const ImportReport = {
  type: 'object',
  additionalProperties: false,
  required: ['imported', 'duplicates'],
  properties: {
    imported: figure('Keys that came in, and are on disk.', 1),
    duplicates: figure('Keys dropped: the store has had them before, in whatever state.', 0),
  },
} as const;
export type ImportReport = FromSchema<typeof ImportReport>;
