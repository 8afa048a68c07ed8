/**
 * The shapes of the routes by which a server is managed: imports, pools, audit, addresses, backups.
 * As schemas.ts: pure data, whose types clients are written against.
 */
import type { FromSchema } from 'json-schema-to-ts';
import { figure, nullableTime } from './schemas.ts';

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

/** Texts, as all of a query string is. */
export const AuditQueryString = {
  type: 'object',
  additionalProperties: false,
  properties: {
    after: { type: 'string', pattern: '^\\d{1,15}$', description: 'Only ids above this one.' },
    limit: {
      type: 'string',
      pattern: '^([1-9]\\d{0,2}|1000)$',
      description:
        '1 to 1000 (default 100) addresses are looked at, in whatever state: a page may have fewer.',
    },
    pool: { type: 'string', description: 'Only this one.' },
    since: { type: 'string', format: 'date-time', description: 'Only from then on.' },
  },
} as const;

const id = { type: 'integer', minimum: 1 } as const;
const pool = { type: 'string', examples: ['pet'] } as const;
/** Of its hand-out. */
const whose = {
  token: { type: ['string', 'null'], description: 'The name of the token that it went to.' },
  idempotencyKeyHash: {
    type: ['string', 'null'],
    description: 'SHA-256 of the idempotency key and its scope: 64 hex digits.',
  },
  cause: { type: ['string', 'null'], description: 'Why it is burned.' },
} as const;

export const AuditEntry = {
  type: 'object',
  additionalProperties: false,
  required: ['id', 'address', 'pool', 'state', 'at', 'token', 'idempotencyKeyHash', 'cause'],
  properties: {
    id,
    address: { type: ['string', 'null'], description: 'Null if it can be read no more.' },
    pool,
    state: { enum: ['dispensed', 'reserved', 'burned'] },
    at: { type: 'string', format: 'date-time' },
    ...whose,
  },
} as const;
export type AuditEntry = FromSchema<typeof AuditEntry>;

export const AuditPageView = {
  type: 'object',
  additionalProperties: false,
  required: ['entries', 'next'],
  properties: {
    entries: { type: 'array', items: AuditEntry },
    next: {
      type: ['integer', 'null'],
      description: 'What the next page is `after`; null when there is none now.',
    },
  },
} as const;
export type AuditPageView = FromSchema<typeof AuditPageView>;

export const OneAddressParams = {
  type: 'object',
  required: ['address'],
  properties: { address: { type: 'string', description: 'Base58 of the public key.' } },
} as const;

export const AddressView = {
  type: 'object',
  additionalProperties: false,
  required: [
    'id',
    'address',
    'pool',
    'state',
    'at',
    'origin',
    'createdAt',
    'token',
    'idempotencyKeyHash',
    'cause',
    'isSecretDestroyed',
  ],
  properties: {
    id,
    address: { type: 'string' },
    pool,
    state: { enum: ['available', 'leased', 'reserved', 'dispensed', 'burned'] },
    at: nullableTime('Since when it is in its state; null while available.'),
    origin: { enum: ['ground', 'imported'] },
    createdAt: { type: 'string', format: 'date-time' },
    ...whose,
    isSecretDestroyed: { type: 'boolean', description: 'Overwritten after its retention.' },
  },
} as const;
export type AddressView = FromSchema<typeof AddressView>;

export const NoBody = { type: 'object', additionalProperties: false } as const;

export const BackupFile = {
  description: 'A file as `vanitypool backup` writes it; `vanitypool restore` takes it.',
  content: { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } },
} as const;
