/** The shapes of imports. Pure data. */
import type { FromSchema } from 'json-schema-to-ts';
import { figure, SECRET_EXAMPLE, text } from './fields.ts';

export const IMPORT_LIMIT = 1000;

export const ImportBody = {
  type: 'object',
  additionalProperties: false,
  required: ['pool', 'secretKeys'],
  examples: [{ pool: 'pet', secretKeys: [SECRET_EXAMPLE] }],
  properties: {
    pool: text('The name of the pool that they come into.', 'pet'),
    secretKeys: {
      type: 'array',
      minItems: 1,
      maxItems: IMPORT_LIMIT,
      items: { type: 'string', maxLength: 88 },
      description: 'Base58 of 64 bytes each: the seed, then the public key.',
      examples: [[SECRET_EXAMPLE]],
    },
  },
} as const;

export const ImportReport = {
  type: 'object',
  additionalProperties: false,
  required: ['imported', 'duplicates'],
  properties: {
    imported: figure('Keypairs that came in, and are on disk.', 1),
    duplicates: figure('Keypairs dropped: the store has had them before, in whatever state.', 0),
  },
} as const;
export type ImportReport = FromSchema<typeof ImportReport>;
