/** The shapes of the rotation of the sealing key. Pure data. */
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
  },
} as const;
export type RotateKeyBody = FromSchema<typeof RotateKeyBody>;

export const KeyRotated = {
  type: 'object',
  additionalProperties: false,
  required: ['from', 'to', 'source', 'oldSource', 'dataKeys'],
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
  },
} as const;
export type KeyRotated = FromSchema<typeof KeyRotated>;
