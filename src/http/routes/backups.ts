/**
 * A backup as the body of a reply. Runs in the HTTP threads. A reader beside the store thread makes it
 * as a file of the data directory, complete and checked, before the first byte is sent; it is
 * removed when the last one is, or when the client leaves. One at a time; a newer one of the same token
 * and a stop of the server end it. It is sent in pieces, so that a slow client can be
 * distinguished from one that takes nothing (in-flight.ts).
 */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import { BackupFile } from '../../api/backups.ts';
import { VanityError } from '../../errors.ts';
import type { App, AppDeps } from '../app-deps.ts';
import { PIECE_BYTES } from '../pages.ts';
import { cutReply } from '../unsent.ts';

export function backupRoutes(app: App, { store }: AppDeps): void {
  const running = new Set<ServerResponse>();
  // Before the server closes: it would wait for what is in flight.
  app.addHook('preClose', (done) => {
    for (const reply of running) cutReply(reply);
    done();
  });

  app.post(
    '/v1/backups',
    {
      config: {
        scope: 'admin',
        errors: ['BACKUP_RUNNING', 'BACKUP_REPLACED', 'BACKUP_UNSUPPORTED', 'STORE_UNAVAILABLE'],
      },
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
      const { raw } = reply;
      running.add(raw);
      raw.once('close', () => {
        running.delete(raw);
        storeThread.call('endBackup', id).catch(() => undefined);
      });
      const forEver = { timeoutMs: Number.POSITIVE_INFINITY };
      const path = await storeThread.call('makeBackup', { id, token: token?.id ?? 0 }, forEver);
      const file = await openMade(path);
      const { size } = await file.stat();
      if (raw.destroyed) {
        await file.close();
        return reply;
      }
      const ended = () => cutReply(raw);
      storeThread.call('backupEnded', id, forEver).then(ended, ended);
      const plain = reply as FastifyReply;
      plain.header('cache-control', 'no-store').header('content-length', size);
      return plain
        .type('application/octet-stream')
        .send(file.createReadStream({ highWaterMark: PIECE_BYTES }));
    },
  );
}

/** Error: BACKUP_REPLACED, since it was made. */
async function openMade(path: string): Promise<FileHandle> {
  return open(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    throw new VanityError('BACKUP_REPLACED', 'the same token has asked for another backup since');
  });
}
