/** The shapes of reservations. Pure data. */
import type { FromSchema } from 'json-schema-to-ts';
import { addressText, ownText, text, time } from './fields.ts';

const RESERVATION_EXAMPLE = '0f1e2d3c4b5a69788796a5b4c3d2e1f0';

export const ReservationBody = {
  type: 'object',
  additionalProperties: false,
  examples: [{}],
  properties: {
    ttlSeconds: {
      type: 'integer',
      minimum: 1,
      maximum: 86_400,
      default: 300,
      description: 'After so many seconds it expires.',
      examples: [300],
    },
  },
} as const;

export const ReservationParams = {
  type: 'object',
  required: ['reservation'],
  properties: { reservation: ownText('The id of a reservation.') },
} as const;

const reservationFields = {
  id: text('32 hex digits, at random.', RESERVATION_EXAMPLE),
  pool: text('The name of its pool.', 'pet'),
  address: addressText(),
  expiresAt: time('From then on it does not hold.'),
} as const;

export const ReservationMade = {
  type: 'object',
  additionalProperties: false,
  required: ['id', 'pool', 'address', 'expiresAt'],
  properties: reservationFields,
} as const;
export type ReservationMade = FromSchema<typeof ReservationMade>;

export const ReservationView = {
  type: 'object',
  additionalProperties: false,
  required: ['id', 'pool', 'address', 'expiresAt', 'state'],
  properties: {
    ...reservationFields,
    state: {
      type: 'string',
      enum: ['reserved', 'dispensed', 'released', 'expired'],
      description: 'It holds as long as it is `reserved`.',
      examples: ['reserved'],
    },
  },
} as const;
export type ReservationView = FromSchema<typeof ReservationView>;
