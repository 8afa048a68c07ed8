/**
 * The shapes of the routes by which a server is managed: imports, audit, addresses. As schemas.ts:
 * pure data, whose types clients are written against.
 */
import type { FromSchema } from 'json-schema-to-ts';
import { figure } from './schemas.ts';

export const IMPORT_LIMIT = 1000;

export const ImportBody = {
  type: 'object',
  additionalProperties: false,
  required: ['pool', 'secretKeys'],
  properties: {
    pool: { type: 'string', examples: ['pet'] },
    secretKeys: {
      type: 'array',
      minItems: 1,
      maxItems: IMPORT_LIMIT,
      items: { type: 'string', maxLength: 88 },
      description: 'Base58 of 64 bytes each: the seed, then the public key.',
    },
  },
} as const;

export const ImportReport = {
  type: 'object',
  additionalProperties: false,
  required: ['imported', 'duplicates'],
  properties: {
    imported: figure('Came in, and are on disk.'),
    duplicates: figure('Dropped: the store has had them before, in whatever state.'),
  },
} as const;
export type ImportReport = FromSchema<typeof ImportReport>;
