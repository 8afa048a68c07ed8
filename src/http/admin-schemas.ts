/**
 * The shapes of the routes by which a server is managed: imports, pools, audit, addresses, backups.
 * As schemas.ts: pure data, whose types clients are written against.
 */
import type { FromSchema } from 'json-schema-to-ts';
import {
  ADDRESS_EXAMPLE,
  addressText,
  figure,
  flag,
  HASH_EXAMPLE,
  NO_STORE,
  nullableText,
  nullableTime,
  originText,
  ownText,
  POOL_NAME,
  SECRET_EXAMPLE,
  SIGNATURE_EXAMPLE,
  text,
  time,
} from './fields.ts';

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

const poolFields = {
  suffix: text('A pattern.', '[a-z]Pet'),
  prefix: text('A pattern; with `suffix` both must match.', 'So'),
  ignoreCase: flag('Capital and small letters count as the same.'),
  handout: {
    type: 'string',
    enum: ['secret', 'sign-only'],
    description: 'Whether the secret leaves, or the server signs with it.',
    examples: ['secret'],
  },
  signLimit: {
    type: 'integer',
    minimum: 1,
    maximum: 1000,
    description: 'Signatures for each address of a sign-only pool.',
    examples: [1],
  },
  reuseReleased: flag('Released addresses are handed to others.'),
  acceptsImports: flag('Keypairs that were found elsewhere may come in.'),
  readyMax: {
    type: 'integer',
    minimum: 1,
    maximum: 1_048_576,
    description: 'Room for so many addresses in memory, 152 bytes each.',
    examples: [65_536],
  },
} as const;

const changeableFields = {
  target: {
    type: 'integer',
    minimum: 1,
    maximum: 100_000_000,
    description: 'Addresses. Grinding runs while available + leased is below it.',
    examples: [1000],
  },
  ready: {
    type: 'integer',
    minimum: 1,
    maximum: 1_048_576,
    description: 'At least so many addresses are kept in memory; at most `readyMax`.',
    examples: [256],
  },
  lowHours: {
    type: 'number',
    minimum: 0,
    maximum: 8760,
    description: 'Hours of stock below which the grinder gets a higher priority for it.',
    examples: [1],
  },
} as const;

const newPoolFields = {
  name: {
    type: 'string',
    pattern: POOL_NAME.pattern,
    description: 'As it will be in the routes of the pool.',
    examples: ['pump'],
  },
  ...poolFields,
  ...changeableFields,
} as const;

/** With a suffix, or a prefix, or both: each written out in full, since generators of clients read one alone. */
export const NewPoolBody = {
  type: 'object',
  additionalProperties: false,
  required: ['name'],
  properties: newPoolFields,
  anyOf: [
    {
      type: 'object',
      additionalProperties: false,
      required: ['name', 'suffix'],
      properties: newPoolFields,
    },
    {
      type: 'object',
      additionalProperties: false,
      required: ['name', 'prefix'],
      properties: newPoolFields,
    },
  ],
  examples: [{ name: 'pump', suffix: 'pump', target: 500 }],
} as const;
export type NewPoolBody = FromSchema<typeof NewPoolBody>;

export const PoolChangeBody = {
  type: 'object',
  additionalProperties: false,
  minProperties: 1,
  examples: [{ target: 1000 }],
  properties: changeableFields,
} as const;
export type PoolChangeBody = FromSchema<typeof PoolChangeBody>;

export const PoolRemovalBody = {
  type: 'object',
  additionalProperties: false,
  required: ['burn'],
  properties: {
    burn: ownText('The name again: all that it has left is burned.'),
  },
} as const;

export const PoolRemoved = {
  type: 'object',
  additionalProperties: false,
  required: ['name', 'burned'],
  properties: {
    name: text('Of the pool that was.', 'pump'),
    burned: figure('Addresses that can never leave now.', 500),
  },
} as const;
export type PoolRemoved = FromSchema<typeof PoolRemoved>;

export const AuditQueryString = {
  type: 'object',
  additionalProperties: false,
  properties: {
    after: {
      type: 'integer',
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      default: 0,
      description: 'Only ids above this one.',
    },
    limit: {
      type: 'integer',
      minimum: 1,
      maximum: 1000,
      default: 100,
      description: 'So many addresses are looked at, in whatever state: a page may have fewer.',
    },
    pool: ownText('Only this one.'),
    since: { type: 'string', format: 'date-time', description: 'Only from then on.' },
  },
} as const;

const id = {
  type: 'integer',
  minimum: 1,
  description: 'Never given twice.',
  examples: [1],
} as const;
const pool = text('The name of its pool.', 'pet');
/** Of its hand-out. */
const whose = {
  token: nullableText('The name of the token that it went to.', 'shop'),
  idempotencyKeyHash: nullableText(
    'SHA-256 of the idempotency key and its scope: 64 hex digits.',
    HASH_EXAMPLE,
  ),
  cause: nullableText('Why it is burned.', 'released'),
} as const;

const isExhausted = flag(
  'It signs no more: the store was restored, and nobody knows what the lost one signed with it.',
);

export const AuditEntry = {
  type: 'object',
  additionalProperties: false,
  required: [
    'id',
    'address',
    'pool',
    'state',
    'at',
    'token',
    'idempotencyKeyHash',
    'cause',
    'signatures',
    'isExhausted',
  ],
  properties: {
    id,
    address: nullableText(
      'Base58 of the public key; null if it can be read no more.',
      ADDRESS_EXAMPLE,
    ),
    pool,
    state: {
      type: 'string',
      enum: ['dispensed', 'reserved', 'burned'],
      description: 'What became of it.',
      examples: ['dispensed'],
    },
    at: time('Since when it is in its state.'),
    ...whose,
    signatures: figure('How many were made with it, of a sign-only pool.', 0),
    isExhausted,
  },
} as const;
export type AuditEntry = FromSchema<typeof AuditEntry>;

export const AuditPageView = {
  type: 'object',
  additionalProperties: false,
  required: ['entries', 'next'],
  properties: {
    entries: { type: 'array', items: AuditEntry, description: 'By id.' },
    next: {
      type: ['integer', 'null'],
      description: 'What the next page is `after`; null when there is none now.',
      examples: [100, null],
    },
  },
} as const;
export type AuditPageView = FromSchema<typeof AuditPageView>;

export const OneAddressParams = {
  type: 'object',
  required: ['address'],
  properties: { address: ownText('Base58 of the public key.') },
} as const;

const SignedMessage = {
  type: 'object',
  additionalProperties: false,
  required: ['at', 'token', 'messageHash', 'signature'],
  properties: {
    at: time('When it was signed.'),
    token: nullableText('The name of the token that asked for it.', 'shop'),
    messageHash: text('SHA-256 of the message: 64 hex digits.', HASH_EXAMPLE),
    signature: text('Base58 of 64 bytes.', SIGNATURE_EXAMPLE),
  },
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
    'isExhausted',
    'signatures',
  ],
  properties: {
    id,
    address: addressText(),
    pool,
    state: {
      type: 'string',
      enum: ['available', 'leased', 'reserved', 'dispensed', 'burned'],
      description: 'What became of it.',
      examples: ['dispensed'],
    },
    at: nullableTime('Since when it is in its state; null while available.'),
    origin: originText(),
    createdAt: time('When it was ground or imported.'),
    ...whose,
    isSecretDestroyed: flag('Overwritten after its retention, or after its last signature.'),
    isExhausted,
    signatures: {
      type: 'array',
      items: SignedMessage,
      description: 'What was signed with it, of a sign-only pool, in the order of its making.',
    },
  },
} as const;
export type AddressView = FromSchema<typeof AddressView>;

export const BackupFile = {
  description: 'A file as `vanitypool backup` writes it; `vanitypool restore` takes it.',
  headers: NO_STORE,
  content: { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } },
} as const;
