/**
 * The shapes of the HTTP API: what requests are checked against, what the OpenAPI document shows,
 * and, as types only, what the client is written against. Pure data.
 */
import { type Static, Type } from 'typebox';
import { ERRORS } from '../errors.ts';

export const COUNT_LIMIT = 1000;

const time = Type.String({ format: 'date-time', examples: ['2026-01-01T00:00:00.000Z'] });
const figure = (description: string) => Type.Integer({ minimum: 0, description });

export const DispenseBody = Type.Object(
  {
    count: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: COUNT_LIMIT,
        default: 1,
        description: 'Addresses to hand out: all of them, or none.',
      }),
    ),
  },
  { additionalProperties: false },
);
export type DispenseBody = Static<typeof DispenseBody>;

export const DispensedAddress = Type.Object({
  id: Type.Integer({ minimum: 1, description: 'Never given twice.', examples: [1] }),
  address: Type.String({
    description: 'Base58 of the public key, 32 to 44 characters.',
    examples: ['4xmWf2vBBd1kEZXbcWdRsrvJqGDnVJ8Vbz2cTWUwaPet'],
  }),
  keyType: Type.Literal('seed'),
  secretKey: Type.String({
    description: 'Base58 of the 64-byte keypair: the seed, then the public key.',
  }),
  origin: Type.Union([Type.Literal('ground'), Type.Literal('imported')]),
  createdAt: time,
});
export type DispensedAddress = Static<typeof DispensedAddress>;

export const Dispensed = Type.Object({ addresses: Type.Array(DispensedAddress) });
export type Dispensed = Static<typeof Dispensed>;

export const PoolView = Type.Object({
  name: Type.String({ examples: ['pet'] }),
  pattern: Type.String({ examples: ['...[a-z]Pet'] }),
  difficulty: Type.Number({ description: 'Expected attempts per hit.', examples: [452660] }),
  keys: Type.Literal('seed'),
  handout: Type.Literal('secret'),
  target: figure('Grinding runs while available + leased is below it.'),
  available: figure('In the store, free.'),
  ready: figure('In memory, to be handed out at once; part of leased.'),
  leased: figure('Claimed by the server for hand-out.'),
  reserved: figure('Held for a client.'),
  dispensed: figure('May have left the server.'),
  burned: figure('Given up for ever.'),
  ground: figure('Found by grinding since the pool was made.'),
  imported: figure('Brought in from files since the pool was made.'),
  grinding: Type.Object({
    active: Type.Boolean({ description: 'Threads search for this pool now.' }),
    threads: figure('Threads that search for this pool.'),
    attemptsPerSecond: figure('Of all those threads together.'),
    hitsPerSecond: Type.Number({ minimum: 0, description: 'Expected at that rate.' }),
    etaSeconds: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()], {
      description: 'Until the target is reached; null when nothing searches.',
    }),
  }),
});
export type PoolView = Static<typeof PoolView>;

export const PoolList = Type.Object({ pools: Type.Array(PoolView) });
export type PoolList = Static<typeof PoolList>;

export const Health = Type.Object({
  status: Type.Literal('ok'),
  version: Type.String(),
  uptimeSeconds: figure('Since the start.'),
});

export const Readiness = Type.Object({
  status: Type.Union([Type.Literal('ready'), Type.Literal('degraded')]),
  reasons: Type.Array(Type.String(), { description: 'Why not all is well; empty when it is.' }),
});
export type Readiness = Static<typeof Readiness>;

export const ProblemView = Type.Object(
  {
    type: Type.String({ examples: ['urn:vanitypool:error:POOL_EMPTY'] }),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String({ enum: Object.keys(ERRORS), description: 'Stable: test for this one.' }),
    detail: Type.String({ description: 'Names the thing and what is allowed.' }),
  },
  { description: 'RFC 9457 problem document.' },
);

export const PoolParams = Type.Object({
  pool: Type.String({ description: 'The name of a pool.', examples: ['pet'] }),
});
