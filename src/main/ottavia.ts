/** The `ottavia` command. */
import { keepCompiled } from './compile-cache.ts';

keepCompiled();
// Whoever read what we print, such as `head`, has enough.
process.stdout.on('error', () => process.exit(0));
const { runCommand } = await import('./commands.ts');
process.exitCode = await runCommand(process.argv);
