/** Traffic in a namespace of its own: `serve PORT…` answers with its port, `load URL` asks until its input ends and counts. */
import http from 'node:http';

const [, , role, ...args] = process.argv;

if (role === 'serve') {
  for (const port of args) {
    const server = http.createServer((request, response) => {
      const delayMs = Number(/^\/slow\/(\d+)/.exec(request.url)?.[1] ?? 0);
      if (request.url === '/login') response.setHeader('set-cookie', `SID=${port}.${Math.random()}`);
      setTimeout(() => response.end(port), delayMs);
    });
    server.keepAliveTimeout = 60_000;
    await new Promise(listening => server.listen(Number(port), '::', listening));
  }
  console.log('ready');
} else {
  const [url, keepAlive] = args;
  const agent = new http.Agent({ keepAlive: keepAlive === 'keep-alive', maxSockets: 8 });
  const counts = {};
  const failures = [];
  let ended = false;
  process.stdin.resume().on('end', () => {
    ended = true;
  });
  const once = () =>
    new Promise(done => {
      const request = http.get(url, { agent, timeout: 10_000 }, response => {
        let body = '';
        response.on('data', chunk => {
          body += chunk;
        });
        response.on('end', () => {
          if (response.statusCode === 200) counts[body] = (counts[body] ?? 0) + 1;
          else failures.push(`status ${response.statusCode}`);
          done();
        });
        response.on('error', error => done(failures.push(error.message)));
      });
      request.on('timeout', () => request.destroy(new Error('timeout')));
      request.on('error', error => done(failures.push(error.message)));
    });
  const worker = async () => {
    while (!ended) await once();
  };
  console.log('ready');
  await Promise.all(Array.from({ length: 4 }, worker));
  agent.destroy();
  process.stdout.write(`${JSON.stringify({ counts, failures })}\n`, () => process.exit(0));
}
