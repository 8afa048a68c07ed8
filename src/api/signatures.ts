/** The shapes of signatures. Pure data. */
import type { FromSchema } from 'json-schema-to-ts';
import { addressText, BASE64, ownText, SIGNATURE_EXAMPLE, text } from './fields.ts';
import { PoolParams } from './pools.ts';

export const AddressParams = {
  type: 'object',
  required: ['pool', 'address'],
  properties: {
    ...PoolParams.properties,
    address: ownText('Base58 of the public key.'),
  },
} as const;

/** Base64 of 1167 bytes, which are the most that a packet has room for. */
const MESSAGE_CHARACTERS_MAX = 1556;

export const SignatureBody = {
  type: 'object',
  additionalProperties: false,
  required: ['message'],
  properties: {
    message: {
      type: 'string',
      minLength: 4,
      maxLength: MESSAGE_CHARACTERS_MAX,
      pattern: BASE64.pattern,
      description: 'Base64, with padding, of the message of a transaction, legacy or version 0.',
    },
  },
} as const;

export const SignatureView = {
  type: 'object',
  additionalProperties: false,
  required: ['address', 'signature'],
  properties: {
    address: addressText(),
    signature: text('Base58 of 64 bytes.', SIGNATURE_EXAMPLE),
  },
} as const;
export type SignatureView = FromSchema<typeof SignatureView>;
