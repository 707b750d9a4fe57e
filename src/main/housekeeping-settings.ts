/** What housekeeping and the garbage collector need of the settings, in their own words. */
import type { HousekeepingOptions } from '../housekeeping/housekeeping.ts';
import type { GarbageSettings } from '../providers/amphora/parts.ts';
import type { Settings } from './settings.ts';

export function housekeepingOptionsOf({ house_keeping: set }: Settings): HousekeepingOptions {
  return {
    cleanupIntervalMs: set.cleanup_interval * 1000,
    amphoraExpiryMs: set.amphora_expiry_age * 1000,
    loadBalancerExpiryMs: set.load_balancer_expiry_age * 1000,
    certificateIntervalMs: set.cert_interval * 1000,
    certificateBufferMs: set.cert_expiry_buffer * 1000,
    certificatesAtOnce: set.cert_rotate_threads,
    sparesIntervalMs: set.spare_check_interval * 1000,
    spares: set.spare_amphora_pool_size,
  };
}

export function garbageSettingsOf({ house_keeping: set }: Settings): GarbageSettings {
  return { mode: set.garbage, intervalMs: set.garbage_interval * 1000, graceMs: set.garbage_grace * 1000 };
}
