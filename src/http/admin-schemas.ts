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

const poolFields = {
  suffix: { type: 'string', description: 'A pattern.', examples: ['[a-z]Pet'] },
  prefix: { type: 'string', description: 'A pattern; with `suffix` both must match.' },
  ignoreCase: { type: 'boolean', description: 'Capital and small letters count as the same.' },
  handout: {
    enum: ['secret', 'sign-only'],
    description: 'Whether the secret leaves, or the server signs with it.',
  },
  signLimit: { type: 'integer', minimum: 1, maximum: 1000 },
  reuseReleased: { type: 'boolean', description: 'Released addresses are handed to others.' },
  acceptsImports: {
    type: 'boolean',
    description: 'Keypairs that were found elsewhere may come in.',
  },
  readyMax: {
    type: 'integer',
    minimum: 1,
    maximum: 1_048_576,
    description: 'Room for so many in memory, 152 bytes each.',
  },
} as const;

const changeableFields = {
  target: {
    type: 'integer',
    minimum: 1,
    maximum: 100_000_000,
    description: 'Grinding runs while available + leased is below it.',
  },
  ready: {
    type: 'integer',
    minimum: 1,
    maximum: 1_048_576,
    description: 'At least so many are kept in memory; at most `readyMax`.',
  },
} as const;

export const NewPoolBody = {
  type: 'object',
  additionalProperties: false,
  required: ['name'],
  properties: {
    name: { type: 'string', pattern: '^[a-z0-9][a-z0-9_-]{0,62}$', examples: ['pump'] },
    ...poolFields,
    ...changeableFields,
  },
} as const;
export type NewPoolBody = FromSchema<typeof NewPoolBody>;

export const PoolChangeBody = {
  type: 'object',
  additionalProperties: false,
  minProperties: 1,
  properties: changeableFields,
} as const;

export const PoolRemovalBody = {
  type: 'object',
  additionalProperties: false,
  required: ['burn'],
  properties: {
    burn: { type: 'string', description: 'The name again: all that it has left is burned.' },
  },
} as const;

export const PoolRemoved = {
  type: 'object',
  additionalProperties: false,
  required: ['name', 'burned'],
  properties: { name: { type: 'string' }, burned: figure('They can never leave now.') },
} as const;
export type PoolRemoved = FromSchema<typeof PoolRemoved>;
