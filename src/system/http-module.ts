/**
 * `node:http` and `node:https`, as `require` gives them. An `import` of `node:http` reads each of its exports, the
 * WebSocket of undici too, which loads all of undici: 25 ms of the processor in each HTTP thread and each command.
 */
export const http = process.getBuiltinModule('node:http');
export const https = process.getBuiltinModule('node:https');
