/**
 * Entry of the thread that ends its process with the one that started it (end-with-parent.ts): nobody
 * writes to standard input, and it closes when that one is gone.
 */
import { Socket } from 'node:net';
import { parentPort } from 'node:worker_threads';

if (parentPort !== null) {
  const parent = new Socket({ fd: 0, readable: true, writable: false });
  // An error counts as the end.
  parent.on('error', () => undefined);
  parent.once('close', () => process.kill(process.pid, 'SIGKILL'));
  parent.resume();
  parentPort.postMessage('watching');
}
