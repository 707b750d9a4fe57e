/** The version documents, from which clients learn what this API can do. Source: contract api.md 1. */

/** When each minor version came; midnight unless said. */
const UPDATED = [
  '2016-12-11',
  '2018-04-20',
  '2018-07-31',
  '2018-12-18',
  '2018-12-19',
  '2019-01-21',
  '2019-01-25',
  '2018-01-25T12:00:00Z',
  '2019-02-12',
  '2019-03-04',
  '2019-03-05',
  '2019-06-24',
  '2019-09-11',
  '2019-09-13',
  '2019-11-10',
  '2020-03-10',
  '2020-03-15',
  '2020-04-29T00:00:00Z',
  '2020-04-29T01:00:00Z',
  '2020-05-12',
  '2020-08-02',
  '2020-09-03',
  '2020-09-04',
  '2020-09-07',
  '2020-10-15',
  '2021-10-02',
  '2022-08-29',
  '2023-05-05',
  '2023-11-08',
  '2024-10-15',
  '2025-02-26',
];

/** All versions, oldest first; clients take the last one as the present. `base` has no trailing slash. */
export function versionsDocument(base: string) {
  return {
    versions: UPDATED.map((date, minor) => ({
      id: `v2.${minor}`,
      status: minor === UPDATED.length - 1 ? 'CURRENT' : 'SUPPORTED',
      updated: date.includes('T') ? date : `${date}T00:00:00Z`,
      links: [{ href: `${base}/v2`, rel: 'self' }],
    })),
  };
}
