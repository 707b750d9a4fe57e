/** The script that is process 1 of a namespace instance: it makes the root, then keeps the agent running. */
import { KEEP_LOGGING } from './instance-log.ts';

/** Where the instance sees what the controller brings along. */
export const NODE_IN_INSTANCE = '/opt/ottavia/node';
export const AGENT_IN_INSTANCE = '/opt/ottavia/agent.mjs';
/** Where the old root is put for the moment between two system calls. */
export const OLD_ROOT_IN_INSTANCE = '/.host';
export const AGENT_CONFIG_FILE = '/etc/octavia/amphora-agent.conf';

export const CONSOLE_LIMIT_BYTES = 1024 * 1024;

export interface InitSpec {
  /** The instance's directory, with `upper`, `work` and `root` in it. */
  directory: string;
  hostname: string;
  /** The controller's own node program. */
  node: string;
  /** Directories of the host's that the instance must not see: its own upper ones lie over them. */
  hidden: readonly string[];
}

/**
 * The text of the script. It is started in fresh mount, pid and uts namespaces with the instance's directory as its
 * argument, by which it is found on the host, and with a pipe as fd 3, where it says when the root stands.
 */
export function renderInit(spec: InitSpec): string {
  const directory = quote(spec.directory);
  const overlay = `lowerdir=/,upperdir=${spec.directory}/upper,workdir=${spec.directory}/work`;
  // The option list of an overlay has no quoting that every mount program agrees on.
  if (/[,:\\]/.test(spec.directory)) {
    throw new Error(
      `Cannot build an instance in ${spec.directory}: a comma, colon or backslash is in the path`,
    );
  }
  const hide = spec.hidden.map(path => `  mount --bind ${directory}/upper${quote(path)} root${quote(path)}`);
  return `#!/bin/sh
# Process 1 of a namespace instance. All of it is read before it runs, because the root changes on the way.
main() {
  set -e
  cd ${directory}
  echo ${quote(spec.hostname)} > /proc/sys/kernel/hostname
  mount -t overlay -o ${quote(overlay)} overlay root
${hide.length > 0 ? `${hide.join('\n')}\n` : ''}  mount --bind ${quote(spec.node)} root${NODE_IN_INSTANCE}
  mount --bind /dev root/dev
  mount -t tmpfs -o mode=755 tmpfs root/run
  mount -t tmpfs -o mode=1777 tmpfs root/tmp
  mount -t proc proc root/proc
  # Still the host's /proc: the process id and start time by which the controller knows this process.
  read -r stat < /proc/self/stat
  echo "$stat" > pid
  cd root
  pivot_root . .${OLD_ROOT_IN_INSTANCE}
  cd /
  umount -l ${OLD_ROOT_IN_INSTANCE}
  set +e
  echo ready >&3
  exec 3>&-
  ${KEEP_LOGGING} &
  while :; do
    ${NODE_IN_INSTANCE} ${AGENT_IN_INSTANCE} --config-file ${AGENT_CONFIG_FILE} &
    wait $!
    echo "The agent ended with $?; it is started again"
    if [ "$(wc -c < /proc/1/fd/1)" -gt ${CONSOLE_LIMIT_BYTES} ]; then : > /proc/1/fd/1; fi
    sleep 0.5
  done
}
main "$@"
`;
}

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
