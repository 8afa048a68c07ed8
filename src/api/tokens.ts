/**
 * The shapes of the routes for tokens: who may ask for what. Pure data.
 */
import type { FromSchema } from 'json-schema-to-ts';
import { nullableText, nullableTime, ownText, TOKEN_NAME, text, time } from './fields.ts';

export const TokenParams = {
  type: 'object',
  required: ['token'],
  properties: { token: ownText('The name of a token.') },
} as const;

const tokenFields = {
  name: {
    type: 'string',
    pattern: TOKEN_NAME.pattern,
    description: 'Yours, for lists and the audit.',
    examples: ['shop'],
  },
  scopes: {
    type: 'array',
    minItems: 1,
    uniqueItems: true,
    items: { type: 'string', enum: ['dispense', 'read', 'admin'] },
    description: 'What it may do.',
    examples: [['dispense']],
  },
  pools: {
    type: ['array', 'null'],
    minItems: 1,
    items: { type: 'string' },
    description: 'The pools that exist for it, each of them one that is there; null for all.',
    examples: [['pet'], null],
  },
  quota: {
    type: ['integer', 'null'],
    minimum: 1,
    maximum: Number.MAX_SAFE_INTEGER,
    description: 'Addresses in a UTC day; null for any number.',
    examples: [1000, null],
  },
  expiresAt: nullableTime('After this it is refused; null for never.'),
} as const;

export const NewTokenBody = {
  type: 'object',
  additionalProperties: false,
  required: ['name', 'scopes'],
  examples: [{ name: 'shop', scopes: ['dispense'], pools: ['pet'], quota: 1000 }],
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
    'offAt',
    'isForged',
    'lastUsedAt',
  ],
  properties: {
    ...tokenFields,
    createdAt: time('When it was made.'),
    revokedAt: nullableTime('It is refused since then.'),
    offAt: nullableTime(
      'It is off since then, until it is restored: the store was made out of a backup, which may lack its revocation.',
    ),
    isForged: {
      type: 'boolean',
      description:
        'Its row was written by somebody else: it is refused, and nothing of it is shown.',
      examples: [false],
    },
    lastUsedAt: nullableTime('Exact to some seconds.'),
  },
} as const;
export type TokenView = FromSchema<typeof TokenView>;

/** Of the first token of a server that was open to programs of its machine until then. */
export const FIRST_TOKEN_WARNING =
  'this is the first token: from now on every request needs one, and programs that send none are refused';

export const TokenMade = {
  type: 'object',
  additionalProperties: false,
  required: ['token', 'warning', ...TokenView.required],
  properties: {
    token: text('The token itself. It is shown only once.', 'vp_...'),
    warning: nullableText(
      'What changes for everybody by this token, for people; null when nothing does.',
      FIRST_TOKEN_WARNING,
    ),
    ...TokenView.properties,
  },
} as const;
export type TokenMade = FromSchema<typeof TokenMade>;

export const TokenList = {
  type: 'object',
  additionalProperties: false,
  required: ['tokens'],
  properties: {
    tokens: { type: 'array', items: TokenView, description: 'The revoked ones, too.' },
  },
} as const;
export type TokenList = FromSchema<typeof TokenList>;
