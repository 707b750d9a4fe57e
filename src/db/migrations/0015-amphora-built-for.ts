/** What each amphora's instance was built with, so that another flavor of its load balancer is known to need another one. */
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

interface Tables {
  amphora: { id: string; loadbalancer_id: string | null; built_for: string | null };
  load_balancer: { id: string; flavor_id: string | null };
  flavor: { id: string; flavor_profile_id: string };
  flavor_profile: { id: string; flavor_data: string };
}

export const amphoraBuiltFor: Migration = {
  async up(db: Kysely<never>) {
    await db.schema.alterTable('amphora').addColumn('built_for', 'text').execute();
    const known = db as unknown as Kysely<Tables>;
    const rows = await known
      .selectFrom('load_balancer')
      .innerJoin('flavor', 'flavor.id', 'load_balancer.flavor_id')
      .innerJoin('flavor_profile', 'flavor_profile.id', 'flavor.flavor_profile_id')
      .select(['load_balancer.id', 'flavor_profile.flavor_data'])
      .execute();
    // Until now the flavor of a load balancer never changed.
    for (const { id, flavor_data } of rows) {
      const { compute_flavor, amp_image_tag } = JSON.parse(flavor_data);
      if (!compute_flavor && !amp_image_tag) continue;
      const built_for = JSON.stringify({ compute_flavor, amp_image_tag });
      await known.updateTable('amphora').set({ built_for }).where('loadbalancer_id', '=', id).execute();
    }
  },
};
