/** What the grinder of the server does, in JSON Schema. */
import type { FromSchema } from 'json-schema-to-ts';
import { figure } from './fields.ts';

function fullRate(description: string, example: number) {
  return { type: ['integer', 'null'], minimum: 0, description, examples: [example, null] } as const;
}

export const GrinderView = {
  type: 'object',
  additionalProperties: false,
  description: 'The grinder of the whole server; not for a token of some pools alone.',
  required: ['priorityChanges', 'instructions', 'fullAttemptsPerSecond', 'threads'],
  properties: {
    priorityChanges: figure('Times that threads got another priority.', 2),
    instructions: {
      type: ['string', 'null'],
      enum: ['js', 'portable', 'avx2', 'avx512', null],
      description:
        'What the grind kernel is made of: JavaScript, C for any machine, or C for these instructions; ' +
        'null before it is loaded.',
      examples: ['avx2'],
    },
    fullAttemptsPerSecond: {
      type: 'object',
      additionalProperties: false,
      description:
        'Candidates a second if all threads search for keys of one type, by the last 10 s of such a search; ' +
        'null before any.',
      required: ['seed', 'expanded'],
      properties: {
        seed: fullRate('Keypairs.', 3_000_000),
        expanded: fullRate('Expanded keys.', 150_000_000),
      },
    },
    threads: {
      type: 'array',
      description: 'Each thread.',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['priority', 'share', 'attemptsPerSecond'],
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
          attemptsPerSecond: {
            type: ['integer', 'null'],
            minimum: 0,
            description:
              'Candidates that it tried a second, over about 10 s; null while it has no work.',
            examples: [1_500_000, null],
          },
        },
      },
    },
  },
} as const;
export type GrinderView = FromSchema<typeof GrinderView>;
