/** Stands in for the agent where a test is about the instance only: tells over HTTP what it sees around it. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { hostname } from 'node:os';

const ANSWERS = {
  '/hostname': () => hostname(),
  '/pid': () => String(process.pid),
  '/arguments': () => process.argv.slice(2).join(' '),
  '/config': () => readFileSync('/etc/octavia/amphora-agent.conf', 'utf8'),
  '/mounts': () => readFileSync('/proc/mounts', 'utf8'),
  '/links': () => execFileSync('ip', ['-json', 'address', 'show']).toString(),
  '/inner': () => {
    execFileSync('ip', ['netns', 'add', 'amphora-haproxy']);
    return execFileSync('ip', ['netns', 'exec', 'amphora-haproxy', 'ip', 'link', 'show', 'lo']).toString();
  },
  '/take': () => {
    const links = JSON.parse(execFileSync('ip', ['-json', 'link', 'show']).toString());
    const { ifname } = links.find(link => link.ifname.startsWith('tap'));
    execFileSync('ip', ['link', 'set', ifname, 'netns', 'amphora-haproxy', 'name', 'eth1']);
    return ifname;
  },
  '/write': () => {
    writeFileSync('/var/lib/octavia/written', 'by the agent');
    writeFileSync('/run/written', 'by the agent');
    return 'ok';
  },
};

createServer((request, response) => {
  if (request.url === '/end') return response.end('ok', () => process.exit(3));
  try {
    return response.end(ANSWERS[request.url]());
  } catch (error) {
    return response.writeHead(500).end(String(error));
  }
}).listen(9443, '::');
