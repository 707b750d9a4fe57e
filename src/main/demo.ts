/** `npm run demo`: shows the whole system at work on this machine. */
import { keepCompiled } from './compile-cache.ts';

keepCompiled();
const { runDemo } = await import('./demo-run.ts');
process.exitCode = await runDemo(process.argv.slice(2));
