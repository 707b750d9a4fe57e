/** A worker whose network never answers, for the test of how it is stopped. Argument: the configuration file. */
import { openNoopCloud } from '../../src/main/cloud.ts';
import { runProgram } from '../../src/main/program.ts';

const cloud = openNoopCloud();
cloud.network.ensurePort = () => {
  process.stderr.write('"hangs"\n');
  return new Promise(() => undefined);
};
process.exitCode = await runProgram('worker', { configFile: [process.argv[2]!], cloud });
