/**
 * What the server answers, as types: of the same schemas that it checks and documents itself with.
 * Nothing of this is there at run time. The only file of the client that looks at the rest of the
 * program; for the package, tools/build-client.mjs writes these types out in full.
 */

export type { AddressView, AuditEntry, AuditPageView } from '../api/audit.ts';
export type { DispensedAddress } from '../api/dispense.ts';
export type { HistoryView } from '../api/history.ts';
export type { ExpandedKeyToImport, ImportReport } from '../api/imports.ts';
export type { KeyRotated, SealingKeyView } from '../api/keys.ts';
export type { NodesView, NodeView } from '../api/nodes.ts';
export type { AccessView, TakerList, WarningList } from '../api/oversight.ts';
export type { NewPoolBody, PoolChangeBody, PoolList, PoolRemoved, PoolView } from '../api/pools.ts';
export type { ReservationMade, ReservationView } from '../api/reservations.ts';
export type { Health, Readiness, StatusEvent } from '../api/service.ts';
export type { SignatureView, TransactionView } from '../api/signatures.ts';
export type { NewTokenBody, TokenMade, TokenView } from '../api/tokens.ts';
export type { HttpErrorCode } from '../errors.ts';
