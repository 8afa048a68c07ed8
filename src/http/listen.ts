/** Where the server listens, and what can be wrong with that. Any thread may use it. */
import { VanityError } from '../errors.ts';

/** A host and a port, or the path of a socket. */
export type ListenOn =
  | { readonly host: string; readonly port: number; readonly reusePort: boolean }
  | { readonly path: string };

/** An error of listening, as what an operator can do about it: PORT_IN_USE or BIND_REFUSED. */
export function listenError(error: NodeJS.ErrnoException, on: ListenOn): VanityError {
  const at = 'path' in on ? `unix:${on.path}` : `${on.host}:${on.port}`;
  if (error.code === 'EADDRINUSE') {
    const detail = `${at}: in use; stop what listens there, or choose another with --port`;
    return new VanityError('PORT_IN_USE', detail, { cause: error });
  }
  return new VanityError('BIND_REFUSED', `${at}: ${error.message}`, { cause: error });
}
