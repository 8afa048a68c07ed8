/**
 * `vanitypool serve`: the server, until it is stopped. SIGINT, SIGTERM and SIGHUP drain it and
 * exit with 0; a SIGHUP that was ignored when it started (`nohup`) stays ignored. A second one exits at
 * once; what was ready is settled at the next start.
 */
import { loadConfig } from '../config/config.ts';
import { LastWarnings } from '../last-warnings.ts';
import { createLog, type Log } from '../log.ts';
import { Service } from '../service/service.ts';
import { readCpuLimits, serverThreads } from '../system/cores.ts';
import { VERSION } from '../version.ts';
import { readArguments } from './arguments.ts';
import { OPTIONS } from './command-options.ts';
import { endServer } from './end.ts';
import { endingSignals } from './hang-up.ts';

const INTERRUPTED = 130;
/** Of options, by the key that they set. */
const NAMES = {
  'http.host': '--host',
  'http.port': '--port',
  'grinder.threads': '--threads',
  log_level: '--log-level',
};
/** One Ctrl-C comes twice under npm: from the terminal to all, and passed on by npm. */
const SAME_KEY_MS = 1000;

/** Resolves to the exit code. Errors: those of the configuration and of starting. */
export async function serve(args: string[]): Promise<number> {
  const { values } = readArguments(args, {
    command: 'serve',
    options: OPTIONS.serve,
  });
  const config = loadConfig({
    flags: {
      ...(values.host !== undefined && { 'http.host': values.host }),
      ...(values.port !== undefined && { 'http.port': numberOf(values.port) }),
      ...(values.threads !== undefined && { 'grinder.threads': numberOf(values.threads) }),
      ...(values['log-level'] !== undefined && { log_level: values['log-level'] }),
    },
    names: NAMES,
    data: values.data,
    env: process.env,
    file: values.config,
  });
  // All paths are whole by now, and a thread cannot start where the working directory is removed meanwhile.
  process.chdir('/');
  const isPretty = process.stderr.isTTY === true;
  const lastWarnings = new LastWarnings();
  const log = createLog('main', config.logLevel, isPretty, lastWarnings);
  tellQuota(config.grinder.threads, log);
  const stop = Promise.withResolvers<void>();
  let firstAt: number | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (firstAt !== undefined) {
      if (performance.now() - firstAt > SAME_KEY_MS) endServer(INTERRUPTED);
      return;
    }
    firstAt = performance.now();
    log.info({ signal }, 'stopping: requests are answered, leases returned');
    stop.resolve();
  };
  for (const signal of endingSignals()) process.on(signal, onSignal);

  const options = { log, lastWarnings, isPretty, version: VERSION };
  const service = await Service.start(config, options);
  try {
    await Promise.race([stop.promise, service.failed]);
  } catch (failure) {
    // Not what cannot be stopped any more for it.
    await service.stop().catch(() => undefined);
    throw failure;
  }
  await service.stop();
  log.info('stopped cleanly: nothing was burned');
  return 0;
}

/** Why not all cores grind: said when the threads are those of the default under a quota. */
function tellQuota(threads: number, log: Log): void {
  const limits = readCpuLimits();
  const { cores, quota } = limits;
  if (threads === cores || threads !== serverThreads(limits)) return;
  log.info({ quota, cores, threads }, 'fewer grinder threads than cores because of a CPU quota');
}

/** What is no number stays a text, for the configuration to refuse by its key. */
function numberOf(text: string): unknown {
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}
