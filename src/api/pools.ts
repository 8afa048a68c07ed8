/** The shapes of pools: their status, and how they are made, changed and deleted. Pure data. */
import type { FromSchema } from 'json-schema-to-ts';
import { KEY_TYPES } from '../keypair/signing-key.ts';
import { figure, flag, ownText, POOL_NAME, text } from './fields.ts';
import { GrinderView } from './grinder.ts';

export const PoolParams = {
  type: 'object',
  required: ['pool'],
  properties: { pool: text('The name of a pool.', 'pet') },
} as const;

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
      enum: KEY_TYPES,
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
