/**
 * A server as its operator has it: asked with the right to do everything, and by the command line, which
 * finds it, or its store while it does not run. Tests that do not disturb each other share one: a start
 * takes the processor about as long as ten commands.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Outcome, RunOptions } from './cli.ts';
import { vanitypoolHere } from './cli-here.ts';
import { type Answer, type Asking, type PoolFigures, type Server, Workspace } from './server.ts';

/** Made before its server is started; what ran and what it left is gone after `await using`. */
export class ManagedServer implements AsyncDisposable {
  readonly workspace = new Workspace();
  server!: Server;
  /** Where the command line finds the server, or the store. */
  options: RunOptions = { cwd: this.workspace.path };

  constructor(pools: readonly Record<string, unknown>[], ...lines: string[]) {
    this.workspace.configure(pools, ...lines);
  }

  /** Starts it, again if it has run. */
  async serve(...args: string[]): Promise<Server> {
    this.server = await this.workspace.serve(...args);
    const env = { ...this.options.env, VANITYPOOL_HTTP__PORT: new URL(this.server.url).port };
    this.options = { ...this.options, env };
    return this.server;
  }

  /** Of the operator. */
  get token(): string {
    return readFileSync(join(this.workspace.data, 'admin.token'), 'utf8').trim();
  }

  ask(method: string, path: string, asking: Asking = {}): Promise<Answer> {
    return this.server.ask(method, path, { token: this.token, ...asking });
  }

  async pool(name = 'pet'): Promise<PoolFigures> {
    const { status, body, text } = await this.ask('GET', `/v1/pools/${name}`);
    assert.equal(status, 200, text);
    return body;
  }

  /** Waits until so many were found, whether or not tokens are asked for. */
  async untilGround(count: number, pool = 'pet'): Promise<void> {
    while ((await this.pool(pool)).ground < count) await sleep(20);
  }

  /** In this process: one command at a time. */
  run(...args: string[]): Promise<Outcome> {
    return vanitypoolHere(args, this.options.env, this.workspace.path);
  }

  runAs(token: string, ...args: string[]): Promise<Outcome> {
    const env = { ...this.options.env, VANITYPOOL_TOKEN: token };
    return vanitypoolHere(args, env, this.workspace.path);
  }

  /** A token with these scopes, made by the command line. */
  make(name: string, ...scopes: string[]): Promise<string> {
    return this.makeWith([name, ...scopes]);
  }

  /** The same with more flags. */
  async makeWith([name, ...scopes]: readonly string[], ...flags: string[]): Promise<string> {
    const all = [...scopes.flatMap((scope) => ['--scope', scope]), ...flags];
    const { code, stdout, stderr } = await this.run('token', 'create', '--name', name!, ...all);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^vp_[A-Za-z0-9_-]{43}\n$/);
    return stdout.trim();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.workspace[Symbol.asyncDispose]();
  }
}
