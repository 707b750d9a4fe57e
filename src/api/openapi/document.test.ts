import { expect, test } from 'vitest';
import { apiOperations } from '../server.ts';
import { givenApi } from '../testing.ts';

interface Operation {
  operationId: string;
  requestBody?: unknown;
  responses: Record<string, { content?: { 'application/json': { schema: { properties: object } } } }>;
}

test('the document is there for everybody and describes every operation once', async () => {
  await using api = await givenApi();
  const { status, body } = await api.request('GET', '/openapi.json', undefined, { 'x-auth-token': '' });
  expect(status).toBe(200);
  expect(body.openapi).toBe('3.1.0');
  expect(body.servers).toEqual([{ url: 'http://localhost:80' }]);
  const described = Object.entries(body.paths as Record<string, Record<string, Operation>>).flatMap(
    ([path, methods]) => Object.keys(methods).map(method => `${method.toUpperCase()} ${path}`),
  );
  expect(described).toHaveLength(apiOperations(api.deps).length);
  expect(described).toContain('PUT /v2/lbaas/pools/{pool_id}/members');
  expect(described).toContain('GET /v2/octavia/amphorae/{id}/stats');
  const operations = Object.values(body.paths as Record<string, Record<string, Operation>>).flatMap(
    Object.values,
  );
  expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
});

test('bodies, answers and every reference are described', async () => {
  await using api = await givenApi();
  const { body } = await api.request('GET', '/openapi.json');
  const { post, get } = body.paths['/v2/lbaas/pools'];
  const pool = post.requestBody.content['application/json'].schema.properties.pool;
  expect(pool.required).toEqual(['protocol', 'lb_algorithm']);
  expect(pool.properties.lb_algorithm.description).toBe('How a member is chosen.');
  expect(get.parameters.map((parameter: { name: string }) => parameter.name)).toEqual(
    expect.arrayContaining(['name', 'loadbalancer_id', 'tags-any', 'limit', 'fields']),
  );
  expect(get.responses[200].content['application/json'].schema.properties.pools.items).toEqual({
    $ref: '#/components/schemas/pool',
  });
  expect(body.paths['/v2/lbaas/pools/{id}'].delete.responses[204].content).toBeUndefined();
  for (const [, name] of JSON.stringify(body).matchAll(/"#\/components\/schemas\/(\w+)"/g))
    expect(body.components.schemas).toHaveProperty(name!);
});
