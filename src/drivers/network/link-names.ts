/** The names of what a system puts on the host: the system id is in each, so that a purge removes only its own. */

/** Five lower-case hex characters; throws on anything else, because names of other systems could match. */
export function checkSystemId(systemId: string): string {
  if (!/^[0-9a-f]{5}$/.test(systemId))
    throw new Error(`Cannot use ${JSON.stringify(systemId)} as a system id`);
  return systemId;
}

const hexOf = (id: string, length: number): string => id.replaceAll('-', '').toLowerCase().slice(0, length);

/** The bridge that is a network. The kernel allows 15 characters. */
export const bridgeName = (systemId: string, networkId: string): string =>
  `ob${systemId}${hexOf(networkId, 8)}`;
/** The end of a port's pair that stays on the host. */
export const hostLinkName = (systemId: string, portId: string): string => `op${systemId}${hexOf(portId, 8)}`;
/** The end of a port's pair that goes into a namespace, until somebody there renames it. */
export const peerLinkName = (portId: string): string => `tap${hexOf(portId, 11)}`;

/** The packet filter's tables of a system, one in each family that has something to do. */
export const tableName = (systemId: string): string => `ottavia_${systemId}`;

/** Bridge or port end of this system. */
export const isLinkOf = (systemId: string, linkName: string): boolean =>
  linkName.startsWith(`ob${systemId}`) || linkName.startsWith(`op${systemId}`);
