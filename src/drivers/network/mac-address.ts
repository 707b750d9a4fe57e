/** The MAC address of a port follows from its id, so that a port made again after a crash has the same one. */

/** Lower case, in the range that OpenStack uses for ports. */
export function macAddressOf(portId: string): string {
  const hex = portId.replaceAll('-', '').toLowerCase();
  return `fa:16:3e:${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4, 6)}`;
}
