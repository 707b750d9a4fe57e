/** The process dies at every effect while a load balancer is created, changed and deleted; the next one finishes the work, or a delete leaves nothing. */
import { type Actor, killAtEveryStep } from './kill-at-every-step.ts';
import { changeCertificates, createTls, createTree, updateTree } from './kill-steps.ts';

async function remove({ system }: Actor): Promise<void> {
  const [lb] = (await system.request('GET', '/loadbalancers')).body.loadbalancers;
  await system.request('DELETE', `/loadbalancers/${lb.id}?cascade=true`);
  await system.drain();
}

killAtEveryStep([
  { name: 'create', when: createTree },
  { name: 'update', given: createTree, when: updateTree },
  { name: 'change of certificates', given: createTls, when: changeCertificates },
  { name: 'delete', given: createTree, when: remove },
]);
