/** What the amphorae of a pair have in common, so that each takes the other's word. */
export interface VrrpGroup {
  loadbalancer_id: string;
  auth_pass: string;
  /** Between two adverts of who holds the VIPs; both must count alike. */
  advert_interval_ms: number;
  /** By amphora id, the digest of what its keepalived was given. */
  given: Record<string, string>;
}
