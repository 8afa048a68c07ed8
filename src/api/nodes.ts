/** The shapes of what is known of the nodes that share a store. Pure data. */
import type { FromSchema } from 'json-schema-to-ts';
import { figure, flag, nullableTime, text } from './fields.ts';

export const NodeView = {
  type: 'object',
  additionalProperties: false,
  required: [
    ...['id', 'name', 'role', 'state', 'isHeard'],
    ...['lastSeenAt', 'leased', 'attemptsPerSecond', 'retiredAt'],
  ],
  properties: {
    id: text('Of its data directory, for ever.', '8f14e45fceea167a5a36dedd4bea2543'),
    name: text('Of its machine.', 'node-1'),
    role: {
      type: ['string', 'null'],
      enum: ['all', 'api', 'grinder', null],
      description: 'Of its last run; null if it has had none.',
      examples: ['all'],
    },
    state: {
      type: 'string',
      enum: ['running', 'stopped', 'lost', 'missed', 'retired'],
      description:
        '`lost`: not heard of for the time of its lease, and did not stop. `missed`: the database may have ' +
        'gone back in time, and nothing is leased until this node has said what it did. `retired`: an ' +
        'operator said that it does not come back.',
      examples: ['running'],
    },
    isHeard: flag('Whether it is heard of now; one that is missed can be.'),
    lastSeenAt: nullableTime('By the clock of the store; null if it has never run.'),
    leased: figure(
      'Addresses that it has leased, as far as they are not recorded as handed out.',
      64,
    ),
    attemptsPerSecond: figure(
      'Candidates that it tries a second, of the last ten seconds.',
      12000000,
    ),
    retiredAt: nullableTime('Null for one that is not.'),
  },
} as const;
export type NodeView = FromSchema<typeof NodeView>;

export const NodeCountsView = {
  type: 'object',
  additionalProperties: false,
  description:
    'How many of the nodes that share the store are in which state, without retired ones; absent for a store in ' +
    'a file, and for a token of some pools alone.',
  required: ['running', 'lost', 'missed', 'stopped'],
  properties: {
    running: figure('They are heard of.', 3),
    lost: figure('They were not heard of for the time of their lease, and did not stop.', 0),
    missed: figure('Nothing is leased until they have said what they did.', 0),
    stopped: figure('They ended cleanly, or have never run.', 0),
  },
} as const;
export type NodeCountsView = FromSchema<typeof NodeCountsView>;

export const NodesView = {
  type: 'object',
  additionalProperties: false,
  required: ['state', 'nodes'],
  properties: {
    state: {
      type: 'string',
      enum: ['sound', 'suspect', 'lost'],
      description:
        'Whether the database may have gone back in time (`suspect`), or has (`lost`): then nothing is leased.',
      examples: ['sound'],
    },
    nodes: {
      type: 'array',
      items: NodeView,
      description: 'In the order in which they came; none where a store is that of one node.',
    },
  },
} as const;
export type NodesView = FromSchema<typeof NodesView>;
