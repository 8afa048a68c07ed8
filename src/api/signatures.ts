/** The shapes of signatures. Pure data. */
import type { FromSchema } from 'json-schema-to-ts';
import { MESSAGE_BYTES_MAX, TRANSACTION_BYTES_MAX } from '../keypair/transaction-sizes.ts';
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

/** In base64, with padding. */
export const charactersOf = (bytes: number): number => 4 * Math.ceil(bytes / 3);

export const SignatureBody = {
  type: 'object',
  additionalProperties: false,
  required: ['message'],
  properties: {
    message: {
      type: 'string',
      minLength: 4,
      maxLength: charactersOf(MESSAGE_BYTES_MAX),
      pattern: BASE64.pattern,
      description: 'Base64, with padding, of the message of a transaction: legacy, version 0 or 1.',
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

export const TransactionBody = {
  type: 'object',
  additionalProperties: false,
  required: ['transaction'],
  properties: {
    transaction: {
      type: 'string',
      minLength: 4,
      maxLength: charactersOf(TRANSACTION_BYTES_MAX),
      pattern: BASE64.pattern,
      description:
        'Base64, with padding, of a whole transaction: legacy, version 0 or 1. 64 zero bytes stand for ' +
        'a signature that is absent.',
    },
  },
} as const;

export const TransactionView = {
  type: 'object',
  additionalProperties: false,
  required: ['transaction', 'signature'],
  properties: {
    transaction: text('Base64 of the same transaction with the signature in its place.', 'AQAB'),
    signature: text('Base58 of 64 bytes.', SIGNATURE_EXAMPLE),
  },
} as const;
export type TransactionView = FromSchema<typeof TransactionView>;
