#!/usr/bin/env sh
':' /* 2>/dev/null
# What npm links as the command "vanitypool". It is both: a shell reads these lines and goes on with
# bin/vanitypool, which starts Node.js once, with what it has to be started with. Node.js, of any
# version, takes them for a comment and runs what follows it.
self=$0
while [ -h "$self" ]; do
  link=$(readlink "$self")
  case $link in /*) self=$link ;; *) self=$(dirname "$self")/$link ;; esac
done
exec /bin/sh "$(dirname "$self")/vanitypool" "$@"
*/
'use strict';

var path = require('path');

var MIN = 24;
var args = process.argv.slice(2);

function refuse(reason) {
  console.error('vanitypool: ' + reason);
  process.exit(1);
}

/** By `node vanitypool.cjs`: goes on as the command does, in this process where the system can. */
function start() {
  var env = Object.assign({}, process.env);
  env.PATH = path.dirname(process.execPath) + path.delimiter + (env.PATH || '');
  var launcher = path.join(__dirname, 'vanitypool');
  if (process.platform !== 'win32' && require('fs').existsSync('/bin/sh')) {
    process.execve('/bin/sh', ['sh', launcher].concat(args), env);
  }
  // Images without a shell, and Windows.
  var program = path.join(__dirname, '..', 'dist', 'cli', 'cli.js');
  var all = ['--disable-sigusr1', program].concat(args);
  if (process.platform !== 'win32') {
    process.execve(process.execPath, [process.execPath].concat(all), env);
  }
  var ended = require('child_process').spawnSync(process.execPath, all, { stdio: 'inherit' });
  process.exit(ended.status === null ? 1 : ended.status);
}

if (parseInt(process.versions.node, 10) < MIN) {
  refuse('needs Node.js ' + MIN + ' or newer, and this is ' + process.version);
} else if (process.permission !== undefined) {
  refuse('Node.js runs with --permission, with which it syncs no file to disk; take it out');
} else {
  start();
}
