import { expect, test } from 'vitest';
import { keepCheckResults } from './servers-state.ts';

const HEAD = `1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time srv_port`;
const CONFIG = `backend p1:l1
    server up 10.0.0.1:80 weight 3
    server down 10.0.0.2:80 weight 1
    server was-maint 10.0.0.3:80 weight 1
    server moved 10.0.0.4:81 weight 1
    server off 10.0.0.5:80 weight 1 disabled
    server drained 10.0.0.6:80 weight 0
`;

test('where a server is checked, and whether over TLS, is as the file says', () => {
  const head = `${HEAD} srv_use_ssl srv_check_port srv_check_addr`;
  const wanted = `backend p1:l1
    server plain 10.0.0.1:80 weight 1 check
    server tls 10.0.0.2:80 weight 1 check port 81 ssl verify none
`;
  const dump = `${head}
3 p1:l1 1 plain 10.0.0.1 2 0 1 1 616 80 1 99 10.0.0.9
3 p1:l1 2 tls 10.0.0.2 2 0 1 1 616 80 0 0 -
`;
  expect(keepCheckResults(dump, wanted)).toBe(`${head}
3 p1:l1 1 plain 10.0.0.1 2 0 1 1 616 80 0 0 -
3 p1:l1 2 tls 10.0.0.2 2 0 1 1 616 80 1 81 -
`);
});

test('only what checks found outlives a reload; what was set at run time is in the file already', () => {
  const dump = `${HEAD}
3 p1:l1 1 up 10.0.0.1 2 0 5 1 616 80
3 p1:l1 2 down 10.0.0.2 0 0 1 1 616 80
3 p1:l1 3 was-maint 10.0.0.3 0 1 1 1 616 80
3 p1:l1 4 moved 10.0.0.4 2 0 1 1 616 80
3 p1:l1 5 off 10.0.0.5 2 0 1 1 616 80
3 p1:l1 6 drained 10.0.0.6 2 0 4 4 616 80
3 p1:l1 7 removed 10.0.0.7 2 0 1 1 616 80
`;
  expect(keepCheckResults(dump, CONFIG)).toBe(`${HEAD}
3 p1:l1 1 up 10.0.0.1 2 0 3 3 616 80
3 p1:l1 2 down 10.0.0.2 0 0 1 1 616 80
`);
});
