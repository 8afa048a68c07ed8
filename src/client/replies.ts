/**
 * What the server answers, as types: of the same schemas that it checks and documents itself with.
 * Nothing of this is there at run time. The only file of the client that looks at the rest of the
 * program; for the package, tools/build-client.mjs writes these types out in full.
 */
export type { HttpErrorCode } from '../errors.ts';
export type {
  AddressView,
  AuditEntry,
  AuditPageView,
  ImportReport,
  NewPoolBody,
  PoolChangeBody,
  PoolRemoved,
} from '../http/admin-schemas.ts';
export type {
  DispensedAddress,
  PoolView,
  Readiness,
  ReservationMade,
  ReservationView,
  SignatureView,
  StatusEvent,
} from '../http/schemas.ts';
export type { NewTokenBody, TokenMade, TokenView } from '../http/token-schemas.ts';
