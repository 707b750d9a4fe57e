"""Reads configurations as a Python agent does, in a directory like an agent's; one JSON object for each line that it is told."""
import json
import sys

from octavia.amphorae.backends.agent.api_server import util
from octavia.amphorae.backends.utils import keepalivedlvs_query
from octavia.common import config

config.cfg.CONF.set_override('base_path', sys.argv[1], group='haproxy_amphora')


def haproxy(name):
    socket, listeners = util.parse_haproxy_file(name)
    return {'socket': socket, 'listeners': listeners, 'vips': util.get_haproxy_vip_addresses(name)}


def lvs(name):
    return keepalivedlvs_query.get_lvs_listener_resource_ipports_nsname(name)


print(json.dumps({
    'haproxy': {name: haproxy(name) for name in util.get_loadbalancers()},
    'lvs': {name: lvs(name) for name in util.get_lvs_listeners()},
}))
