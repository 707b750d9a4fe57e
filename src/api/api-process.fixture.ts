/** One of several API processes over one database file: prints its URL, and serves until its standard input ends. */
import { openDatabase } from '../db/open.ts';
import { givenApi } from './testing.ts';

const [url, settings] = process.argv.slice(2);
const database = await openDatabase(url!);
const api = await givenApi({ database, settings: JSON.parse(settings!) });
console.log(await api.listen());
process.stdin.on('end', () => process.exit()).resume();
