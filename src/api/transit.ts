/** The shapes of the routes that clients of a Vault transit engine use. Pure data. */
import type { FromSchema } from 'json-schema-to-ts';
import { MESSAGE_BYTES_MAX } from '../keypair/transaction-sizes.ts';
import { ADDRESS_EXAMPLE, addressText, BASE64, ownText, text } from './fields.ts';
import { charactersOf } from './signatures.ts';

/** All that a key has had. A client that asks for version 0 asks for the latest. */
export const KEY_VERSION = 1;
const PUBLIC_KEY_EXAMPLE = '11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=';

export const TransitParams = {
  type: 'object',
  required: ['address'],
  properties: { address: ownText('Base58 of the public key: the name of the key.') },
} as const;

export const TransitSignBody = {
  type: 'object',
  additionalProperties: false,
  required: ['input'],
  properties: {
    input: {
      type: 'string',
      minLength: 4,
      maxLength: charactersOf(MESSAGE_BYTES_MAX),
      pattern: BASE64.pattern,
      description:
        'Base64, with padding, of the message of a transaction, not hashed, with its version byte.',
    },
    key_version: {
      type: 'integer',
      enum: [0, KEY_VERSION],
      description: 'Of the key, which has one version; 0 is the latest.',
      examples: [KEY_VERSION],
    },
  },
} as const;

export const TransitSigned = {
  type: 'object',
  additionalProperties: false,
  required: ['data'],
  properties: {
    data: {
      type: 'object',
      additionalProperties: false,
      description: 'As of a transit engine.',
      required: ['signature'],
      properties: {
        signature: text(
          '`vault:v1:` and base64 of 64 bytes.',
          'vault:v1:5VZDAMNgrHKQhuLMgG6CioSHfx64RbhRI8BJ2WfZ4GO1',
        ),
      },
    },
  },
} as const;
export type TransitSigned = FromSchema<typeof TransitSigned>;

export const TransitKey = {
  type: 'object',
  additionalProperties: false,
  required: ['data'],
  properties: {
    data: {
      type: 'object',
      additionalProperties: false,
      description: 'As of a transit engine.',
      required: [
        'name',
        'type',
        'supports_signing',
        'latest_version',
        'min_decryption_version',
        'keys',
      ],
      properties: {
        name: addressText(),
        type: { type: 'string', const: 'ed25519', description: 'Always.', examples: ['ed25519'] },
        supports_signing: {
          type: 'boolean',
          const: true,
          description: 'Always.',
          examples: [true],
        },
        latest_version: {
          type: 'integer',
          const: KEY_VERSION,
          description: 'Always.',
          examples: [KEY_VERSION],
        },
        min_decryption_version: {
          type: 'integer',
          const: KEY_VERSION,
          description: 'Always.',
          examples: [KEY_VERSION],
        },
        keys: {
          type: 'object',
          additionalProperties: false,
          description: 'By version.',
          required: ['1'],
          properties: {
            '1': {
              type: 'object',
              additionalProperties: false,
              description: 'The one version.',
              required: ['public_key'],
              properties: {
                public_key: text(
                  `Base64 of 32 bytes: of ${ADDRESS_EXAMPLE} here.`,
                  PUBLIC_KEY_EXAMPLE,
                ),
              },
            },
          },
        },
      },
    },
  },
} as const;
export type TransitKey = FromSchema<typeof TransitKey>;
