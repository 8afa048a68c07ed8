/** The nodes that share a store, as those who operate it see them. Types alone. */
import type { Role } from '../config/config.ts';

export type NodeState =
  /** Is heard of. */
  | 'running'
  /** Was not heard of for the time of its lease, and did not stop. */
  | 'lost'
  /** The store waits for it to say what it did: after a failover, a restore or the return of a snapshot. */
  | 'missed'
  | 'stopped'
  /** An operator said that it does not come back. */
  | 'retired';

/** How many are in which state; retired ones are not counted. */
export type NodeCounts = Readonly<Record<Exclude<NodeState, 'retired'>, number>>;

/** One of them, for people. */
export type NodeName = Pick<StoreNode, 'id' | 'name'>;

/** Times are those of the clock of the store, in ms since 1970. */
export interface StoreNode {
  /** 32 hex digits. */
  readonly id: string;
  readonly name: string;
  readonly place: string;
  /** Of its last run, as the next ones; null if it has had none. */
  readonly role: Role | null;
  readonly state: NodeState;
  /** Of one that is missed, too: it is there, and has not said yet what it did. */
  readonly isHeard: boolean;
  readonly lastSeenAt: number | null;
  readonly attemptsPerSecond: number;
  /** Addresses that its open run has leased, and no turn recorded. */
  readonly leased: number;
  /** Whether it has said what it did, since all were asked last. */
  readonly isConfirmed: boolean;
  readonly retiredAt: number | null;
}

/** Whether the database may have gone back in time, or has: then nothing is leased. */
export type StoreState = 'sound' | 'suspect' | 'lost';

export interface StoreNodes {
  readonly state: StoreState;
  /** In the order in which they came; none in a store of one node. */
  readonly nodes: readonly StoreNode[];
}

/** What an operator says of a node that does not come back. */
export type Loss =
  /** The database has every commit of it. */
  | 'lost-nothing'
  /** Nobody knows: all that can still be leased is burned. */
  | 'burn';
