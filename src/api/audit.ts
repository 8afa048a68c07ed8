/** The shapes of the audit: what left the store or was given up, and what became of one address. Pure data. */
import type { FromSchema } from 'json-schema-to-ts';
import {
  ADDRESS_EXAMPLE,
  addressText,
  figure,
  flag,
  HASH_EXAMPLE,
  nullableText,
  nullableTime,
  originText,
  ownText,
  SIGNATURE_EXAMPLE,
  text,
  time,
} from './fields.ts';

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
export const pool = text('The name of its pool.', 'pet');
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
    at: nullableTime('Since when it is in its state; null while available, or not known.'),
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
