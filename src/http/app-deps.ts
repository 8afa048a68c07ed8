/**
 * What the routes of one HTTP thread are made with: the application that they are added to, and all
 * that they answer from. Types alone; app.ts puts the parts together.
 */
import type { JsonSchemaToTsProvider } from '@fastify/type-provider-json-schema-to-ts';
import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import type { TrustProxy } from '../config/config.ts';
import type { HttpErrorCode } from '../errors.ts';
import type { LastWarnings } from '../last-warnings.ts';
import type { Log } from '../log.ts';
import type { StoreThreadCalls } from '../pool/calls.ts';
import type { StoreHealth } from '../pool/health.ts';
import type { NodeFigures } from '../pool/node-figures.ts';
import type { Pool, Receiver } from '../pool/pool.ts';
import type { ReadyAddress } from '../pool/ready-address.ts';
import type { Tallies } from '../pool/tallies.ts';
import type { Caller } from '../port.ts';
import type { Scope, Token } from '../token.ts';
import type { Access } from './access.ts';
import type { Limits } from './admission.ts';
import type { CertificateAndKey } from './certificate.ts';
import type { EventIds } from './event-ids.ts';
import type { GrinderFigures } from './grinder-view.ts';
import type { InFlight } from './in-flight.ts';
import type { Metrics } from './metrics.ts';

export type App = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  JsonSchemaToTsProvider
>;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What a token needs for the route; open without. */
    scope?: Scope;
    /** Asked again and again by machines, so that it has no limit. */
    isProbe?: boolean;
    /** Of a Vault transit engine: see transit.ts. */
    isTransit?: boolean;
    /** What it can answer beside those of every route. */
    errors?: readonly HttpErrorCode[];
  }
  interface FastifyInstance {
    readonly inFlight: InFlight;
    readonly tallies: Tallies;
  }
  interface FastifyRequest {
    /** Undefined where none is needed. */
    token: Token | undefined;
    /** `Access.version` when the token was looked at. */
    accessVersion: number;
  }
}

/** For whom a dispense is, as far as HTTP knows it. */
export interface Client {
  readonly receiver: Receiver;
  readonly token: Token | undefined;
  readonly isGone: () => boolean;
}

/** All `count` addresses or none, at once if nothing has to be waited for; as `Pool.dispense`. */
export type Dispense = (
  pool: Pool,
  count: number,
  client: Client,
) => ReadyAddress[] | Promise<ReadyAddress[]>;

export interface AppDeps {
  readonly pools: ReadonlyMap<string, Pool>;
  readonly access: Access;
  /** The store thread. Error: STORE_UNAVAILABLE while it is not open. */
  readonly store: () => Caller<StoreThreadCalls>;
  readonly dispense: Dispense;
  readonly storeHealth: StoreHealth;
  readonly grinder: GrinderFigures;
  readonly nodes: NodeFigures;
  readonly metrics: Metrics;
  readonly tallies: Tallies;
  readonly eventIds: EventIds;
  readonly version: string;
  /** Serve the ancestor's routes. */
  readonly isCompat: boolean;
  /** Of a node that hands nothing out: what says how it is doing, and nothing else. */
  readonly isGrinder: boolean;
  readonly isDraining: () => boolean;
  readonly log: Log;
  readonly lastWarnings: LastWarnings;
  /** What it serves TLS with; undefined for none. */
  readonly certificate: CertificateAndKey | undefined;
  readonly trustProxy: TrustProxy;
  /** After so long without a request a connection is closed. */
  readonly keepAliveSeconds: number;
  /** Of this thread. */
  readonly limits: Limits;
}
