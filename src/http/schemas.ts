/**
 * The shapes of the HTTP API in JSON Schema: what requests are checked against, what the OpenAPI
 * document shows, and, as types only, what clients are written against. Pure data, written out as
 * it is: a library that builds it would add 0.1 s to every start.
 */
import type { FromSchema } from 'json-schema-to-ts';
import {
  addressText,
  BASE64,
  figure,
  flag,
  originText,
  ownText,
  PRINTABLE,
  SECRET_EXAMPLE,
  SIGNATURE_EXAMPLE,
  text,
  time,
} from './fields.ts';
import { GrinderView } from './grinder-schema.ts';

export const COUNT_LIMIT = 1000;

const RESERVATION_EXAMPLE = '0f1e2d3c4b5a69788796a5b4c3d2e1f0';

export const PoolParams = {
  type: 'object',
  required: ['pool'],
  properties: { pool: text('The name of a pool.', 'pet') },
} as const;

export const IdempotencyHeaders = {
  type: 'object',
  properties: {
    'idempotency-key': {
      type: 'string',
      minLength: 1,
      maxLength: 255,
      pattern: PRINTABLE.pattern,
      description:
        '1 to 255 printable ASCII characters of your choice. The same key with the same body gets ' +
        'the same reply, for `store.retention_hours`.',
    },
  },
} as const;

export const DispenseBody = {
  type: 'object',
  additionalProperties: false,
  examples: [{}],
  properties: {
    count: {
      type: 'integer',
      minimum: 1,
      maximum: COUNT_LIMIT,
      default: 1,
      description: 'Addresses to hand out: all of them, or none.',
      examples: [1],
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
    address: addressText(),
    keyType: {
      type: 'string',
      const: 'seed',
      description: 'What the secret is made of.',
      examples: ['seed'],
    },
    secretKey: text(
      'Base58 of the 64-byte keypair: the seed, then the public key. Sign-only pools give none.',
      SECRET_EXAMPLE,
    ),
    origin: originText(),
    createdAt: time('When it was ground or imported.'),
  },
} as const;
export type DispensedAddress = FromSchema<typeof DispensedAddress>;

export const Dispensed = {
  type: 'object',
  additionalProperties: false,
  required: ['addresses'],
  properties: {
    addresses: { type: 'array', items: DispensedAddress, description: 'As many as asked for.' },
  },
} as const;
export type Dispensed = FromSchema<typeof Dispensed>;

export const ReservationBody = {
  type: 'object',
  additionalProperties: false,
  examples: [{}],
  properties: {
    ttlSeconds: {
      type: 'integer',
      minimum: 1,
      maximum: 86_400,
      default: 300,
      description: 'After so many seconds it expires.',
      examples: [300],
    },
  },
} as const;

export const ReservationParams = {
  type: 'object',
  required: ['reservation'],
  properties: { reservation: ownText('The id of a reservation.') },
} as const;

const reservationFields = {
  id: text('32 hex digits, at random.', RESERVATION_EXAMPLE),
  pool: text('The name of its pool.', 'pet'),
  address: addressText(),
  expiresAt: time('From then on it does not hold.'),
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
      type: 'string',
      enum: ['reserved', 'dispensed', 'released', 'expired'],
      description: 'It holds as long as it is `reserved`.',
      examples: ['reserved'],
    },
  },
} as const;
export type ReservationView = FromSchema<typeof ReservationView>;

export const AddressParams = {
  type: 'object',
  required: ['pool', 'address'],
  properties: {
    ...PoolParams.properties,
    address: ownText('Base58 of the public key.'),
  },
} as const;

/** Base64 of 1167 bytes, which are the most that a packet has room for. */
const MESSAGE_CHARACTERS_MAX = 1556;

export const SignatureBody = {
  type: 'object',
  additionalProperties: false,
  required: ['message'],
  properties: {
    message: {
      type: 'string',
      minLength: 4,
      maxLength: MESSAGE_CHARACTERS_MAX,
      pattern: BASE64.pattern,
      description: 'Base64, with padding, of the message of a transaction, legacy or version 0.',
    },
  },
} as const;

export const SignatureView = {
  type: 'object',
  additionalProperties: false,
  required: ['address', 'signature'],
  properties: {
    address: addressText(),
    signature: text('Base58 of 64 bytes.', SIGNATURE_EXAMPLE),
  },
} as const;
export type SignatureView = FromSchema<typeof SignatureView>;

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
    'lowHours',
    'paused',
    'stock',
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
    name: text('As in the routes of the pool.', 'pet'),
    pattern: text('What its addresses match: prefix, dots, suffix.', '...[a-z]Pet'),
    difficulty: { type: 'number', description: 'Expected attempts per hit.', examples: [452660] },
    keys: {
      type: 'string',
      const: 'seed',
      description: 'What its secrets are made of.',
      examples: ['seed'],
    },
    handout: {
      type: 'string',
      enum: ['secret', 'sign-only'],
      description: 'Whether the secret leaves, or the server signs with it.',
      examples: ['secret'],
    },
    target: figure('Addresses. Grinding runs while available + leased is below it.', 1000),
    lowHours: {
      type: 'number',
      minimum: 0,
      description: 'Hours of stock below which the grinder gets a higher priority for it.',
      examples: [1],
    },
    paused: flag('Nothing is handed out, and nothing ground for it.'),
    stock: figure('Addresses that can be taken now: available + ready.', 1000),
    available: figure('Addresses in the store, free.', 744),
    ready: figure('Addresses in memory, to be handed out at once; part of leased.', 256),
    leased: figure('Addresses claimed by the server for hand-out.', 256),
    reserved: figure('Addresses held for clients by reservations that have not ended.', 0),
    dispensed: figure('Addresses that may have left the server.', 17),
    burned: figure('Addresses given up for ever.', 0),
    ground: figure('Addresses found by grinding since the pool was made.', 1017),
    imported: figure('Addresses brought in from files since the pool was made.', 0),
    grinding: {
      type: 'object',
      additionalProperties: false,
      description: 'The search for more.',
      required: ['active', 'threads', 'attemptsPerSecond', 'hitsPerSecond', 'etaSeconds'],
      properties: {
        active: flag('Threads search for this pool now.'),
        threads: figure('Threads that search for this pool.', 2),
        attemptsPerSecond: figure('Candidates tried by all those threads together.', 3_000_000),
        hitsPerSecond: {
          type: 'number',
          minimum: 0,
          description: 'Addresses, expected at that rate.',
          examples: [6.627],
        },
        etaSeconds: {
          type: ['integer', 'null'],
          minimum: 0,
          description: 'Seconds until the target is reached; null when nothing searches.',
          examples: [42, null],
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
  properties: {
    pools: { type: 'array', items: PoolView, description: 'Those that exist for the token.' },
    grinder: GrinderView,
  },
} as const;
export type PoolList = FromSchema<typeof PoolList>;

export const Health = {
  type: 'object',
  additionalProperties: false,
  required: ['status', 'version', 'uptimeSeconds'],
  properties: {
    status: {
      type: 'string',
      const: 'ok',
      description: 'The process answers.',
      examples: ['ok'],
    },
    version: text('Of vanitypool.', '0.1.0'),
    uptimeSeconds: figure('Seconds since the start.', 60),
  },
} as const;
export type Health = FromSchema<typeof Health>;

export const Readiness = {
  type: 'object',
  additionalProperties: false,
  required: ['status', 'reasons'],
  properties: {
    status: {
      type: 'string',
      enum: ['ready', 'degraded'],
      description: 'Whether all is well, or some pools or the store are not.',
      examples: ['degraded'],
    },
    reasons: {
      type: 'array',
      items: { type: 'string' },
      description: 'Why not all is well; empty when it is, and for who may not read.',
      examples: [['POOL_EMPTY: pet'], []],
    },
  },
} as const;
export type Readiness = FromSchema<typeof Readiness>;

/** What `GET /v1/events` tells: an event of the type `status`. */
export type StatusEvent = PoolList & {
  /** When it was made, by the clock of the server: RFC 3339. */
  readonly at: string;
  /** Milliseconds since the start of the server, which a clock that is set does not change. */
  readonly uptimeMs: number;
  readonly readiness: {
    readonly status: Readiness['status'] | 'unavailable';
    readonly reasons: string[];
  };
};

export const MetricsText = {
  description: 'Prometheus text format.',
  content: { 'text/plain': { schema: { type: 'string' } } },
} as const;

export const EventsText = {
  description: 'A stream of events; it has no end.',
  content: { 'text/event-stream': { schema: { type: 'string' } } },
} as const;
