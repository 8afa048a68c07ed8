/** The shapes of what those who watch over the server ask: what they may, the last warnings, who took how many. Pure data. */
import type { FromSchema } from 'json-schema-to-ts';
import { figure, flag, nullableText, text, time } from './fields.ts';
import { TokenView } from './tokens.ts';

const { name, scopes, pools, quota, expiresAt } = TokenView.properties;

export const AccessView = {
  type: 'object',
  additionalProperties: false,
  required: ['required', 'requiredAfterFirst', 'token'],
  properties: {
    required: flag('Every request needs a token.'),
    requiredAfterFirst: flag(
      'None is needed yet: from the first one that is made every request needs one.',
    ),
    token: {
      type: ['object', 'null'],
      description: 'The token of this request; null without a valid one.',
      additionalProperties: false,
      required: ['name', 'scopes', 'pools', 'quota', 'expiresAt'],
      properties: {
        name: {
          ...name,
          pattern: '^[ -~]+$',
          description: 'Of the token; `command line` of its own.',
        },
        scopes,
        pools,
        quota,
        expiresAt,
      },
    },
  },
} as const;
export type AccessView = FromSchema<typeof AccessView>;

export const WarningList = {
  type: 'object',
  additionalProperties: false,
  required: ['warnings'],
  properties: {
    warnings: {
      type: 'array',
      description: 'The last 50 at most, the newest first.',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['at', 'level', 'thread', 'message', 'details'],
        properties: {
          at: time('When it was logged, by the clock of the machine.'),
          level: {
            type: 'string',
            enum: ['warn', 'error', 'fatal'],
            description: 'How grave it is.',
            examples: ['warn'],
          },
          thread: text('Which thread logged it.', 'store'),
          message: text('What the line of the log says.', 'the store fails'),
          details: text('Its fields; empty for none.', 'code=DISK_FULL'),
        },
      },
    },
  },
} as const;
export type WarningList = FromSchema<typeof WarningList>;

export const TakerList = {
  type: 'object',
  additionalProperties: false,
  required: ['since', 'takers'],
  properties: {
    since: time('The begin of the UTC day, by the clock of the store.'),
    takers: {
      type: 'array',
      description: 'Who took any since then, most first.',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['token', 'addresses'],
        properties: {
          token: nullableText(
            'The name of the token; null for requests without one, and of the command line.',
            'shop',
          ),
          addresses: figure('Taken or reserved, as quotas count.', 17),
        },
      },
    },
  },
} as const;
export type TakerList = FromSchema<typeof TakerList>;
