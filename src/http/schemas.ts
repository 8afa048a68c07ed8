/**
 * The shapes of the HTTP API in JSON Schema: what requests are checked against, what the OpenAPI
 * document shows, and, as types only, what clients are written against. Pure data, written out as
 * it is: a library that builds it would add 0.1 s to every start.
 */
import type { FromSchema } from 'json-schema-to-ts';
import { ERRORS } from '../errors.ts';

export const COUNT_LIMIT = 1000;

export const PoolParams = {
  type: 'object',
  required: ['pool'],
  properties: { pool: { type: 'string', description: 'The name of a pool.', examples: ['pet'] } },
} as const;

export const IdempotencyHeaders = {
  type: 'object',
  properties: {
    'idempotency-key': {
      type: 'string',
      description:
        '1 to 255 printable ASCII characters of your choice. The same key with the same body gets ' +
        'the same reply, for `store.retention_hours`.',
    },
  },
} as const;

export const DispenseBody = {
  type: 'object',
  additionalProperties: false,
  properties: {
    count: {
      type: 'integer',
      minimum: 1,
      maximum: COUNT_LIMIT,
      default: 1,
      description: 'Addresses to hand out: all of them, or none.',
    },
  },
} as const;
export type DispenseBody = FromSchema<typeof DispenseBody>;

export const DispensedAddress = {
  type: 'object',
  additionalProperties: false,
  required: ['id', 'address', 'keyType', 'origin', 'createdAt'],
  properties: {
    id: { type: 'integer', minimum: 1, description: 'Never given twice.', examples: [1] },
    address: {
      type: 'string',
      minLength: 32,
      maxLength: 44,
      description: 'Base58 of the public key.',
    },
    keyType: { const: 'seed' },
    secretKey: {
      type: 'string',
      description:
        'Base58 of the 64-byte keypair: the seed, then the public key. Sign-only pools give none.',
    },
    origin: { enum: ['ground', 'imported'] },
    createdAt: { type: 'string', format: 'date-time', examples: ['2026-01-01T00:00:00.000Z'] },
  },
} as const;
export type DispensedAddress = FromSchema<typeof DispensedAddress>;

export const Dispensed = {
  type: 'object',
  additionalProperties: false,
  required: ['addresses'],
  properties: { addresses: { type: 'array', items: DispensedAddress } },
} as const;
export type Dispensed = FromSchema<typeof Dispensed>;

export const ReservationBody = {
  type: 'object',
  additionalProperties: false,
  properties: {
    ttlSeconds: {
      type: 'integer',
      minimum: 1,
      maximum: 86_400,
      default: 300,
      description: 'After so many seconds it expires.',
    },
  },
} as const;

export const ReservationParams = {
  type: 'object',
  required: ['reservation'],
  properties: { reservation: { type: 'string', description: 'The id of a reservation.' } },
} as const;

const reservationFields = {
  id: { type: 'string', description: '32 hex digits, at random.' },
  pool: { type: 'string', examples: ['pet'] },
  address: { type: 'string', description: 'Base58 of the public key.' },
  expiresAt: { type: 'string', format: 'date-time' },
} as const;

export const ReservationMade = {
  type: 'object',
  additionalProperties: false,
  required: ['id', 'pool', 'address', 'expiresAt'],
  properties: reservationFields,
} as const;
export type ReservationMade = FromSchema<typeof ReservationMade>;

export const ReservationView = {
  type: 'object',
  additionalProperties: false,
  required: ['id', 'pool', 'address', 'expiresAt', 'state'],
  properties: {
    ...reservationFields,
    state: {
      enum: ['reserved', 'dispensed', 'released', 'expired'],
      description: 'It holds as long as it is `reserved`.',
    },
  },
} as const;
export type ReservationView = FromSchema<typeof ReservationView>;

export const AddressParams = {
  type: 'object',
  required: ['pool', 'address'],
  properties: {
    ...PoolParams.properties,
    address: { type: 'string', description: 'Base58 of the public key.' },
  },
} as const;

export const SignatureBody = {
  type: 'object',
  additionalProperties: false,
  required: ['message'],
  properties: {
    message: {
      type: 'string',
      description: 'Base64 of the message of a transaction, legacy or version 0.',
    },
  },
} as const;

export const SignatureView = {
  type: 'object',
  additionalProperties: false,
  required: ['address', 'signature'],
  properties: {
    address: { type: 'string', description: 'Base58 of the public key.' },
    signature: { type: 'string', description: 'Base58 of 64 bytes.' },
  },
} as const;
export type SignatureView = FromSchema<typeof SignatureView>;

export const TokenParams = {
  type: 'object',
  required: ['token'],
  properties: {
    token: { type: 'string', description: 'The name of a token.', examples: ['shop'] },
  },
} as const;

const tokenFields = {
  name: {
    type: 'string',
    pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$',
    description: 'Yours, for lists and the audit.',
    examples: ['shop'],
  },
  scopes: {
    type: 'array',
    minItems: 1,
    uniqueItems: true,
    items: { enum: ['dispense', 'read', 'admin'] },
    description: 'What it may do.',
  },
  pools: {
    type: ['array', 'null'],
    minItems: 1,
    items: { type: 'string' },
    description: 'The pools that exist for it; null for all.',
  },
  quota: {
    type: ['integer', 'null'],
    minimum: 1,
    maximum: Number.MAX_SAFE_INTEGER,
    description: 'Addresses in a UTC day; null for any number.',
  },
  expiresAt: nullableTime('After this it is refused; null for never.'),
} as const;

export const NewTokenBody = {
  type: 'object',
  additionalProperties: false,
  required: ['name', 'scopes'],
  properties: tokenFields,
} as const;
export type NewTokenBody = FromSchema<typeof NewTokenBody>;

export const TokenView = {
  type: 'object',
  additionalProperties: false,
  required: [
    'name',
    'scopes',
    'pools',
    'quota',
    'createdAt',
    'expiresAt',
    'revokedAt',
    'lastUsedAt',
  ],
  properties: {
    ...tokenFields,
    createdAt: { type: 'string', format: 'date-time' },
    revokedAt: nullableTime('It is refused since then.'),
    lastUsedAt: nullableTime('Exact to some seconds.'),
  },
} as const;
export type TokenView = FromSchema<typeof TokenView>;

export const TokenMade = {
  type: 'object',
  additionalProperties: false,
  required: ['token', ...TokenView.required],
  properties: {
    token: { type: 'string', description: 'The token itself. It is told this once.' },
    ...TokenView.properties,
  },
} as const;
export type TokenMade = FromSchema<typeof TokenMade>;

export const TokenList = {
  type: 'object',
  additionalProperties: false,
  required: ['tokens'],
  properties: { tokens: { type: 'array', items: TokenView } },
} as const;
export type TokenList = FromSchema<typeof TokenList>;

export const PoolView = {
  type: 'object',
  additionalProperties: false,
  required: [
    'name',
    'pattern',
    'difficulty',
    'keys',
    'handout',
    'target',
    'paused',
    'available',
    'ready',
    'leased',
    'reserved',
    'dispensed',
    'burned',
    'ground',
    'imported',
    'grinding',
  ],
  properties: {
    name: { type: 'string', examples: ['pet'] },
    pattern: { type: 'string', examples: ['...[a-z]Pet'] },
    difficulty: { type: 'number', description: 'Expected attempts per hit.', examples: [452660] },
    keys: { const: 'seed' },
    handout: {
      enum: ['secret', 'sign-only'],
      description: 'Whether the secret leaves, or the server signs with it.',
    },
    target: figure('Grinding runs while available + leased is below it.'),
    paused: { type: 'boolean', description: 'Nothing is handed out, and nothing ground for it.' },
    available: figure('In the store, free.'),
    ready: figure('In memory, to be handed out at once; part of leased.'),
    leased: figure('Claimed by the server for hand-out.'),
    reserved: figure('Held for a client.'),
    dispensed: figure('May have left the server.'),
    burned: figure('Given up for ever.'),
    ground: figure('Found by grinding since the pool was made.'),
    imported: figure('Brought in from files since the pool was made.'),
    grinding: {
      type: 'object',
      additionalProperties: false,
      required: ['active', 'threads', 'attemptsPerSecond', 'hitsPerSecond', 'etaSeconds'],
      properties: {
        active: { type: 'boolean', description: 'Threads search for this pool now.' },
        threads: figure('Threads that search for this pool.'),
        attemptsPerSecond: figure('Of all those threads together.'),
        hitsPerSecond: { type: 'number', minimum: 0, description: 'Expected at that rate.' },
        etaSeconds: {
          type: ['integer', 'null'],
          minimum: 0,
          description: 'Until the target is reached; null when nothing searches.',
        },
      },
    },
  },
} as const;
export type PoolView = FromSchema<typeof PoolView>;

export const PoolList = {
  type: 'object',
  additionalProperties: false,
  required: ['pools'],
  properties: { pools: { type: 'array', items: PoolView } },
} as const;
export type PoolList = FromSchema<typeof PoolList>;

export const Health = {
  type: 'object',
  additionalProperties: false,
  required: ['status', 'version', 'uptimeSeconds'],
  properties: {
    status: { const: 'ok' },
    version: { type: 'string' },
    uptimeSeconds: figure('Since the start.'),
  },
} as const;
export type Health = FromSchema<typeof Health>;

export const Readiness = {
  type: 'object',
  additionalProperties: false,
  required: ['status', 'reasons'],
  properties: {
    status: { enum: ['ready', 'degraded'] },
    reasons: {
      type: 'array',
      items: { type: 'string' },
      description: 'Why not all is well; empty when it is.',
    },
  },
} as const;
export type Readiness = FromSchema<typeof Readiness>;

/** What `GET /v1/events` tells: an event of the type `status`. */
export type StatusEvent = PoolList & {
  readonly readiness: {
    readonly status: Readiness['status'] | 'unavailable';
    readonly reasons: string[];
  };
};

export const ProblemView = {
  type: 'object',
  description: 'RFC 9457 problem document.',
  required: ['type', 'title', 'status', 'code', 'detail'],
  properties: {
    type: { type: 'string', examples: ['urn:vanitypool:error:POOL_EMPTY'] },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { type: 'string', enum: Object.keys(ERRORS), description: 'Stable: test for this one.' },
    detail: { type: 'string', description: 'Names the thing and what is allowed.' },
  },
} as const;

export function figure<T extends string>(description: T) {
  return { type: 'integer', minimum: 0, description } as const;
}

export function nullableTime<T extends string>(description: T) {
  return { type: ['string', 'null'], format: 'date-time', description } as const;
}
