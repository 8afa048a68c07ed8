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
  NewTokenBody,
  PoolView,
  Readiness,
  ReservationMade,
  ReservationView,
  SignatureView,
  StatusEvent,
  TokenMade,
  TokenView,
} from '../http/schemas.ts';
