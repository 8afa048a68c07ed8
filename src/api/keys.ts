/** The shapes of the sealing key and its rotation. Pure data. */
import type { FromSchema } from 'json-schema-to-ts';
import { figure, text } from './fields.ts';

export const RotateKeyBody = {
  type: 'object',
  additionalProperties: false,
  examples: [{}],
  properties: {
    to: {
      type: ['string', 'null'],
      maxLength: 255,
      description:
        '`env:NAME`, a variable in the environment of the server that holds the new key. Without it a ' +
        'new key is made beside the file of the old one.',
      examples: ['env:NEW_KEY', null],
    },
    reseal: {
      type: 'boolean',
      description:
        'After a leak of the old key: every secret in the store is encrypted again, under new data keys. ' +
        'That begins when the reply is sent; `GET /v1/keys` says how far it is.',
      examples: [true],
    },
  },
} as const;
export type RotateKeyBody = FromSchema<typeof RotateKeyBody>;

const toReseal = figure(
  'How many addresses are still to be looked at, at most, of those that are resealed. 0: nothing is left to do.',
  0,
);

export const SealingKeyView = {
  type: 'object',
  additionalProperties: false,
  required: ['id', 'source', 'toReseal'],
  properties: {
    id: text('16 digits of the SHA-256 of its public half.', '2c26b46b68ffc68f'),
    source: text(
      'Where the key is, as `store.sealing_key` names it.',
      'file:/srv/vanitypool/data/sealing.key',
    ),
    toReseal,
  },
} as const;
export type SealingKeyView = FromSchema<typeof SealingKeyView>;

export const KeyRotated = {
  type: 'object',
  additionalProperties: false,
  required: ['from', 'to', 'source', 'oldSource', 'dataKeys', 'toReseal'],
  properties: {
    from: text(
      'The id of the old key: 16 digits of the SHA-256 of its public half.',
      '9f86d081884c7d65',
    ),
    to: text('The id of the new key.', '2c26b46b68ffc68f'),
    source: text(
      'Where the new key is, as `store.sealing_key` names it. Back it up now.',
      'file:/srv/vanitypool/data/sealing.key',
    ),
    oldSource: text(
      'Where the old key is: backups that were made before need it.',
      'file:/srv/vanitypool/data/sealing.key.9f86d081884c7d65',
    ),
    dataKeys: figure('How many data keys were sealed to the new key.', 12),
    toReseal,
    handedTo: figure(
      'Of a database of many nodes: how many others that run have the new key, too. One whose key is in a variable ' +
        'needs it there before its next start. Not there for a store of one node.',
      2,
    ),
  },
} as const;
export type KeyRotated = FromSchema<typeof KeyRotated>;
