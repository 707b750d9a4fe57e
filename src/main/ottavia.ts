/** The `ottavia` command. */
import { keepCompiled } from './compile-cache.ts';

keepCompiled();
const { runCommand } = await import('./commands.ts');
process.exitCode = await runCommand(process.argv);
