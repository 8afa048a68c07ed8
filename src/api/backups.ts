/** The shape of a backup. Pure data. */
import { NO_STORE } from './fields.ts';

export const BackupFile = {
  description: 'A file as `vanitypool backup` writes it; `vanitypool restore` takes it.',
  headers: NO_STORE,
  content: { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } },
} as const;
