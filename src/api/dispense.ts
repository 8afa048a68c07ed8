/** The shapes of a dispense. Pure data. */
import type { FromSchema } from 'json-schema-to-ts';
import { COUNT_MAX } from '../config/pool-settings.ts';
import { KEY_TYPES } from '../keypair/signing-key.ts';
import {
  addressText,
  EXPANDED_EXAMPLE,
  originText,
  PRINTABLE,
  SECRET_EXAMPLE,
  text,
  time,
} from './fields.ts';

export const IdempotencyHeaders = {
  type: 'object',
  properties: {
    'idempotency-key': {
      type: 'string',
      minLength: 1,
      maxLength: 255,
      pattern: PRINTABLE.pattern,
      description:
        '1 to 255 printable ASCII characters of your choice. The same key with the same body gets ' +
        'the same reply, for `store.retention_hours`.',
    },
  },
} as const;

export const DispenseBody = {
  type: 'object',
  additionalProperties: false,
  examples: [{}],
  properties: {
    count: {
      type: 'integer',
      minimum: 1,
      maximum: COUNT_MAX,
      default: 1,
      description: 'Addresses to hand out: all of them, or none.',
      examples: [1],
    },
  },
} as const;
export type DispenseBody = FromSchema<typeof DispenseBody>;

export const DispensedAddress = {
  type: 'object',
  additionalProperties: false,
  required: ['id', 'address', 'keyType', 'origin', 'createdAt'],
  properties: {
    id: { type: 'integer', minimum: 1, description: 'Never given twice.', examples: [1] },
    address: addressText(),
    keyType: {
      type: 'string',
      enum: KEY_TYPES,
      description: 'What the secret is made of.',
      examples: ['seed'],
    },
    secretKey: text(
      'Base58 of the 64-byte keypair: the seed, then the public key. Sign-only pools give none.',
      SECRET_EXAMPLE,
    ),
    expandedKey: text(
      'Instead, of `keyType` expanded: base58 of 64 bytes, the scalar and then the nonce prefix. It ' +
        'signs, but has no seed: no wallet imports it.',
      EXPANDED_EXAMPLE,
    ),
    origin: originText(),
    createdAt: time('When it was ground or imported.'),
  },
} as const;
export type DispensedAddress = FromSchema<typeof DispensedAddress>;

export const Dispensed = {
  type: 'object',
  additionalProperties: false,
  required: ['addresses'],
  properties: {
    addresses: { type: 'array', items: DispensedAddress, description: 'As many as asked for.' },
  },
} as const;
export type Dispensed = FromSchema<typeof Dispensed>;
