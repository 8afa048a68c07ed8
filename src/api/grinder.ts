/** What the grinder of the server does, in JSON Schema. */
import type { FromSchema } from 'json-schema-to-ts';
import { figure } from './fields.ts';

export const GrinderView = {
  type: 'object',
  additionalProperties: false,
  description: 'The grinder of the whole server; not for a token of some pools alone.',
  required: ['priorityChanges', 'threads'],
  properties: {
    priorityChanges: figure('Times that threads got another priority.', 2),
    threads: {
      type: 'array',
      description: 'Each thread.',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['priority', 'share'],
        properties: {
          priority: {
            type: 'string',
            enum: ['normal', 'raised', 'low', 'idle'],
            description: 'Nice 0, nice 3, nice 15, or idle.',
            examples: ['low'],
          },
          share: {
            type: ['number', 'null'],
            minimum: 0,
            maximum: 1,
            description: 'Of a core, that it got over about 10 s; null while it has no work.',
            examples: [0.97, null],
          },
        },
      },
    },
  },
} as const;
export type GrinderView = FromSchema<typeof GrinderView>;
