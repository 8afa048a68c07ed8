/** The key that is to take the place of the sealing key of a store: made beside it, or in a variable. Runs in the store thread. */
import { VanityError } from '../errors.ts';
import { loadSealingKey, type SealingKey } from '../keypair/sealing-key.ts';
import {
  createNextKey,
  findSealingKey,
  isKey,
  keepKey,
  takeNextKey,
} from '../keypair/sealing-key-files.ts';
import type { RotationOptions } from './key-rotation.ts';

export interface PlacedKey {
  readonly key: SealingKey;
  /** Where it is: 'file:PATH' or 'env:NAME'. */
  readonly source: string;
}

export interface NextKey {
  readonly next: SealingKey;
  /** Where the key that it replaces is by then. */
  readonly oldSource: string;
}

/**
 * In a file the old key is kept under its id, and the new one is beside it; both synced. What became of a rotation
 * before is known by then: its key may go. Error: KEY_ROTATION_REFUSED.
 */
export async function nextKey(
  now: PlacedKey,
  { to, onStep = () => undefined }: RotationOptions,
): Promise<NextKey> {
  const { source, key } = now;
  try {
    if (to !== undefined) return { next: await keyIn(to, now), oldSource: source };
    if (source.startsWith('env:')) {
      const remedy = 'put a new key into another variable of this process, and name that: env:NAME';
      throw refused(`the sealing key is in ${source}, where nothing can write it; ${remedy}`);
    }
    // It could not take its name before.
    if ((await findSealingKey(source, key.publicKey)).isNext) await takeNextKey(source);
    const kept = await keepKey(source, key.publicKey);
    onStep('old key kept');
    const next = await createNextKey(source);
    onStep('new key');
    return { next, oldSource: `file:${kept}` };
  } catch (cause) {
    const { code, message, syscall } = cause as NodeJS.ErrnoException;
    if (code !== 'SEALING_KEY_INVALID' && syscall === undefined) throw cause;
    throw refused(message, cause);
  }
}

/** The key in a variable of this process, which has to be another one. */
async function keyIn(to: string, { source, key }: PlacedKey): Promise<SealingKey> {
  if (!/^env:[A-Za-z_]\w*$/.test(to)) throw refused(`${JSON.stringify(to)}: allowed: env:NAME`);
  if (to === source) throw refused(`${to}: holds the key that is to be replaced; name another`);
  const next = await loadSealingKey(to);
  if (next !== undefined && !isKey(next, key.publicKey)) return next;
  throw refused(`${to}: the same key as now; put a new one there: openssl rand -hex 32`);
}

export function refused(message: string, cause?: unknown): VanityError {
  return new VanityError('KEY_ROTATION_REFUSED', message, { cause });
}
