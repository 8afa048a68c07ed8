/** Where `vanitypool audit` takes its list from: the data directory, or a server elsewhere. */
import type { AuditEntry } from '../api/audit.ts';
import type { AuditFilter } from '../offline/audit.ts';
import type { AuditedStore, AuditedToken } from '../store/audit-store.ts';

/** Where a list comes from. */
export interface AuditSource {
  /** Why addresses that the list lacks may have left, or leave later; undefined if none can. */
  readonly gap: string | undefined;
  /** By id. Error: POOL_NOT_FOUND. */
  pages(filter: AuditFilter, signal: AbortSignal): AsyncIterable<readonly AuditEntry[]>;
  /** For the columns of a table: the longest name of a pool. */
  readonly poolWidth: number;
  /** What the store says of itself once it is listed; undefined where it does not say. */
  store(): Promise<AuditedStore | undefined>;
  /** For a whole list. */
  tokens(): Promise<AuditedToken[]>;
}
