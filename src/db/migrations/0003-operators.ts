/** What operators set: quotas, flavors and availability zones with their profiles; and amphorae to be told their settings again. */
import type { ColumnBuilderCallback, CreateTableBuilder, Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

type Table = CreateTableBuilder<string, string>;
const required: ColumnBuilderCallback = c => c.notNull();

export const operators: Migration = {
  async up(db: Kysely<never>) {
    const create = (name: string) => db.schema.createTable(name) as unknown as Table;
    let quota = create('quota').addColumn('project_id', 'varchar(36)', c => c.primaryKey());
    for (const name of [
      'load_balancer',
      'listener',
      'member',
      'pool',
      'health_monitor',
      'l7policy',
      'l7rule',
    ])
      quota = quota.addColumn(name, 'integer');
    await quota.execute();
    for (const name of ['flavor', 'availability_zone']) {
      await create(`${name}_profile`)
        .addColumn('id', 'varchar(36)', c => c.primaryKey())
        .addColumn('name', 'varchar(255)', required)
        .addColumn('provider_name', 'varchar(255)', required)
        .addColumn(`${name}_data`, 'varchar(4096)', required)
        .execute();
      const offer = create(name);
      await (name === 'flavor' ? offer.addColumn('id', 'varchar(36)', c => c.primaryKey()) : offer)
        .addColumn('name', 'varchar(255)', c => (name === 'flavor' ? c.notNull().unique() : c.primaryKey()))
        .addColumn('description', 'varchar(255)', required)
        .addColumn('enabled', 'integer', required)
        .addColumn(`${name}_profile_id`, 'varchar(36)', c => c.notNull().references(`${name}_profile.id`))
        .execute();
    }
    await db.schema
      .alterTable('amphora')
      .addColumn('config_due', 'integer', c => c.notNull().defaultTo(0))
      .execute();
    const indexes: [table: string, column: string][] = [
      ['member', 'project_id'],
      ['load_balancer', 'flavor_id'],
      ['load_balancer', 'availability_zone'],
      ['listener_statistics', 'amphora_id'],
    ];
    for (const [table, column] of indexes)
      await db.schema
        .createIndex(`${table}_by_${column}`)
        .on(table)
        .column(column as never)
        .execute();
  },
};
