// An MCP server over its standard streams that does what a test wants, good or bad. It needs no
// package, so that it also runs where only this file may be read.

import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const reading = { readOnlyHint: true };
const TOOLS = [
  ['echo', reading],
  ['pid', reading],
  ['environment', reading],
  ['read', reading],
  ['write', {}],
  ['allocate', {}],
  ['hang', {}],
  ['hanging', reading],
  ['die', {}],
  ['huge', {}],
];

const say = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);

/** Calls of `hang`, which are never answered. */
let hanging = 0;

/** What the tool `name` answers. */
function call(name, args) {
  switch (name) {
    case 'echo':
      return args.text;
    case 'pid':
      return String(process.pid);
    case 'environment':
      return JSON.stringify(process.env);
    case 'read':
      return readFileSync(args.path, 'utf8');
    case 'write':
      writeFileSync(args.path, 'written');
      return 'written';
    case 'allocate':
      return String(Buffer.alloc(args.bytes, 1).length);
    case 'hanging':
      return String(hanging);
    case 'huge':
      return 'x'.repeat(100 * 1024 * 1024);
    case 'die':
      return process.exit(1);
    default:
      throw new Error(`no ${name}`);
  }
}

const handlers = {
  initialize: () => ({
    protocolVersion: '2025-11-25',
    capabilities: { tools: {} },
    serverInfo: { name: 'test', version: '1' },
  }),
  'tools/list': () => ({
    tools: TOOLS.map(([name, annotations]) => ({ name, annotations, inputSchema: { type: 'object' } })),
  }),
  'tools/call': ({ name, arguments: args = {} }) => {
    try {
      return { content: [{ type: 'text', text: call(name, args) }] };
    } catch (fault) {
      return { isError: true, content: [{ type: 'text', text: String(fault) }] };
    }
  },
};

console.error('an upstream of the tests begins');
createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line);
  const handler = handlers[method];
  if (params?.name === 'hang') hanging += 1;
  else if (handler) say({ id, result: handler(params) });
});
