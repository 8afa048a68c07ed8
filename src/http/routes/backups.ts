/**
 * A backup as the body of a reply. Runs in the HTTP threads. A reader beside the store thread makes it
 * as a file of the data directory, complete and checked, before the first byte is sent; it is
 * removed when the last one is, or when the client leaves. One at a time.
 */
import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { FastifyReply } from 'fastify';
import { VanityError } from '../../errors.ts';
import { BackupFile } from '../admin-schemas.ts';
import type { App, AppDeps } from '../app.ts';

export function backupRoutes(app: App, { store }: AppDeps): void {
  app.post(
    '/v1/backups',
    {
      config: { scope: 'admin', errors: ['BACKUP_RUNNING', 'STORE_UNAVAILABLE'] },
      schema: {
        operationId: 'makeBackup',
        summary: 'The whole store as a file, as it is at one moment',
        description: 'The sealing key is not in it. The reply begins when it is made and checked.',
        tags: ['backups'],
        response: { 200: BackupFile },
      },
    },
    async ({ token }, reply) => {
      if (token?.pools !== undefined) {
        throw new VanityError('SCOPE_REQUIRED', 'a backup takes a token for all pools');
      }
      const id = randomBytes(16).toString('hex');
      const storeThread = store();
      // Also of a reply that is never sent, and of a client that leaves; however many others wait.
      reply.raw.once('close', () => {
        storeThread.call('endBackup', id).catch(() => undefined);
      });
      const path = await storeThread.call('makeBackup', id, {
        timeoutMs: Number.POSITIVE_INFINITY,
      });
      const { size } = await stat(path);
      const plain = reply as FastifyReply;
      plain.header('cache-control', 'no-store').header('content-length', size);
      return plain.type('application/octet-stream').send(createReadStream(path));
    },
  );
}
