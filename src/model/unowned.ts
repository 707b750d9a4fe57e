/** What belongs to no load balancer: spare amphorae, and whatever was left over. One lease covers all of it. */

/** Stands where a load balancer's id would: in its lease and in nudges. */
export const UNOWNED_ID = '00000000-0000-0000-0000-000000000000';

const OWNED =
  /^(?:(?:mgmt-)?amphora-|octavia-lb-(?:vrrp-|member-)?)([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:-|$)/;

/** The amphora or load balancer that a port or an instance of this name is for; undefined when the name is none of ours. */
export const ownerIdIn = (name: string): string | undefined => OWNED.exec(name)?.[1];
