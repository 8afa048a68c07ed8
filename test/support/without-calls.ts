/**
 * A program under an old container runtime: system calls that it names fail as if the kernel had none
 * of them, for that program and all that it starts (without-calls.c).
 */
import { fileURLToPath } from 'node:url';
import { compiled } from './compiled.ts';

const SOURCE = fileURLToPath(new URL('./without-calls.c', import.meta.url));

export type Call = 'statx' | 'name_to_handle_at';

/** What goes before the program and its arguments. */
export function withoutCalls(calls: readonly Call[]): string[] {
  const program = compiled(
    'without-calls',
    ['-O1', '-Wall', '-Wextra', '-Werror', SOURCE],
    [SOURCE],
  );
  return [program, 'EPERM', calls.join(',')];
}
