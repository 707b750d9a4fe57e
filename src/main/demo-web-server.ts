/** A web server of the demo: says its name, and ends when its parent does. */
import { createServer } from 'node:http';

const [name = 'web', port = '8080'] = process.argv.slice(2);

createServer((_request, response) => {
  // One request per connection, so that each is balanced anew whatever the client does.
  response.setHeader('connection', 'close').end(`${name}\n`);
}).listen(Number(port), () => process.stdout.write('listening\n'));

// The pipe closes when the parent ends, however it ends: no server is left behind.
process.stdin.resume().on('close', () => process.exit(0));
