/** The shapes of what operators and their machines ask of the server as a whole. Pure data. */
import type { FromSchema } from 'json-schema-to-ts';
import { figure, text } from './fields.ts';
import type { PoolList } from './pools.ts';

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

/** What `GET /v1/events` sends: an event of the type `status`. */
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
