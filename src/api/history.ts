/** What pools were over the last hour and the last day, in JSON Schema. Pure data. */
import type { FromSchema } from 'json-schema-to-ts';
import { ownText, text, time } from './fields.ts';

export const HistoryQueryString = {
  type: 'object',
  additionalProperties: false,
  properties: { pool: ownText('Of this pool alone.') },
} as const;

function column<D extends string>(description: D, example: readonly number[]) {
  const items = { type: 'integer', minimum: 0 } as const;
  return { type: 'array', items, description, examples: [example] } as const;
}

function samples<D extends string>(description: D) {
  return {
    type: 'object',
    additionalProperties: false,
    description,
    required: ['secondsAgo', 'stock', 'ready', 'dispensed', 'ground'],
    properties: {
      secondsAgo: {
        type: 'array',
        items: { type: 'number', minimum: 0 },
        description: 'When each was taken: seconds before this reply, by a clock that nobody sets.',
        examples: [[30.2, 15.1, 0.1]],
      },
      stock: column('Addresses that could be taken then.', [998, 1000, 997]),
      ready: column('Addresses in memory then.', [256, 256, 253]),
      dispensed: column('Addresses that had left by then, in all.', [17, 17, 20]),
      ground: column('Addresses that had been found by then, in all.', [1015, 1017, 1017]),
    },
  } as const;
}

export const HistoryView = {
  type: 'object',
  additionalProperties: false,
  required: ['at', 'pools'],
  properties: {
    at: time('When this was answered, by the clock of the server.'),
    pools: {
      type: 'array',
      description: 'Those that exist for the token, or the one that was asked for.',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['name', 'hour', 'day'],
        properties: {
          name: text('Of the pool.', 'pet'),
          hour: samples('Samples of the last hour, 15 s apart, the oldest first.'),
          day: samples('Samples of the last day, 5 min apart, the oldest first.'),
        },
      },
    },
  },
} as const;
export type HistoryView = FromSchema<typeof HistoryView>;
