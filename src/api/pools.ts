/** The shapes of pools: their status, and how they are made, changed and deleted. Pure data. */
import type { FromSchema } from 'json-schema-to-ts';
import { POOL_SETTINGS, type SettingsTable } from '../config/pool-settings.ts';
import { figure, flag, ownText, text } from './fields.ts';
import { GrinderView } from './grinder.ts';
import { NodeCountsView } from './nodes.ts';
import { changeFields, newFields, shownField } from './setting-fields.ts';

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
    'consumptionPerHour',
    'hoursOfStock',
    'ground',
    'imported',
    'grinding',
  ],
  properties: {
    name: text('As in the routes of the pool.', 'pet'),
    pattern: text('What its addresses match: prefix, dots, suffix.', '...[a-z]Pet'),
    difficulty: { type: 'number', description: 'Expected attempts per hit.', examples: [452660] },
    keys: shownField(POOL_SETTINGS.keys),
    handout: shownField(POOL_SETTINGS.handout),
    target: shownField(POOL_SETTINGS.target),
    lowHours: shownField(POOL_SETTINGS.lowHours),
    paused: flag('Nothing is handed out, and nothing ground for it.'),
    stock: figure('Addresses that can be taken now: available + ready.', 1000),
    available: figure('Addresses in the store, free.', 744),
    ready: figure('Addresses in memory, to be handed out at once; part of leased.', 256),
    leased: figure('Addresses claimed by the server for hand-out.', 256),
    reserved: figure('Addresses held for clients by reservations that have not ended.', 0),
    dispensed: figure('Addresses that may have left the server.', 17),
    burned: figure('Addresses given up for ever.', 0),
    consumptionPerHour: {
      type: 'number',
      minimum: 0,
      description:
        'Addresses taken an hour: the larger of the rates of the last 15 min and of the last hour.',
      examples: [120],
    },
    hoursOfStock: {
      type: ['number', 'null'],
      minimum: 0,
      description: 'How long available and leased last at that rate; null when nobody takes any.',
      examples: [8.333, null],
    },
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
    nodes: NodeCountsView,
  },
} as const;
export type PoolList = FromSchema<typeof PoolList>;

/** With a suffix, or a prefix, or both: each written out in full, since generators of clients read one alone. */
export function newPoolBody<Table extends SettingsTable>(table: Table) {
  const properties = newFields(table);
  return {
    type: 'object',
    additionalProperties: false,
    required: ['name'],
    properties,
    anyOf: [
      { type: 'object', additionalProperties: false, required: ['name', 'suffix'], properties },
      { type: 'object', additionalProperties: false, required: ['name', 'prefix'], properties },
    ],
    examples: [{ name: 'pump', suffix: 'pump', target: 500 }],
  } as const;
}

export function poolChangeBody<Table extends SettingsTable>(table: Table) {
  return {
    type: 'object',
    additionalProperties: false,
    minProperties: 1,
    examples: [{ target: 1000 }],
    properties: changeFields(table),
  } as const;
}

export const NewPoolBody = newPoolBody(POOL_SETTINGS);
export type NewPoolBody = FromSchema<typeof NewPoolBody>;

export const PoolChangeBody = poolChangeBody(POOL_SETTINGS);
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
