/** What an operator offers to users by name: flavors and availability zones, and the provider's settings behind them. */

export interface Flavor {
  id: string;
  name: string;
  description: string;
  /** A disabled one stays with the load balancers that have it. */
  enabled: boolean;
  flavor_profile_id: string;
}

export interface FlavorProfile {
  id: string;
  name: string;
  provider_name: string;
  /** A JSON object, as text. */
  flavor_data: string;
}

/** Its name is its key. */
export interface AvailabilityZone {
  name: string;
  description: string;
  enabled: boolean;
  availability_zone_profile_id: string;
}

export interface AvailabilityZoneProfile {
  id: string;
  name: string;
  provider_name: string;
  /** A JSON object, as text. */
  availability_zone_data: string;
}

/** What the flavor of a load balancer and its availability zone ask of its provider. Source: contract api.md 13. */
export interface Offer {
  loadbalancer_topology?: 'SINGLE' | 'ACTIVE_STANDBY';
  compute_flavor?: string;
  amp_image_tag?: string;
  sriov_vip?: boolean;
  allow_member_sriov?: boolean;
  compute_zone?: string;
  volume_zone?: string;
  management_network?: string;
  valid_vip_networks?: string[];
}

/** What of an offer an instance cannot be given later, as text that is the same for the same; null for nothing. */
export function builtFor({ compute_flavor, amp_image_tag }: Offer): string | null {
  return compute_flavor || amp_image_tag ? JSON.stringify({ compute_flavor, amp_image_tag }) : null;
}
