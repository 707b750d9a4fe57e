"""What Nova and Neutron are to Octavia: its compute and network seams, over to the drivers of the process that runs the test."""
import json
import os
import urllib.request

from octavia.common import data_models
from octavia.compute.drivers.noop_driver.driver import NoopComputeDriver
from octavia.network import data_models as network
from octavia.network.drivers.noop_driver.driver import NoopNetworkDriver


def ask(verb, *arguments):
    request = urllib.request.Request(os.environ['INTEROP_CLOUD'] + verb, json.dumps(arguments).encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


class Compute(NoopComputeDriver):
    """What it does not say itself is without effect, as in the driver below."""

    def build(self, name='', config_drive_files=None, **_):
        ask('build', name, config_drive_files)
        return name.removeprefix('amphora-')

    def get_amphora(self, compute_id, management_network_id=None):
        found = ask('instance', compute_id)
        return data_models.Amphora(compute_id=compute_id, **found), None

    def delete(self, compute_id):
        ask('delete', compute_id)

    def attach_network_or_port(self, compute_id, network_id=None, ip_address=None, port_id=None):
        ask('attach', compute_id, port_id)
        return network.Interface(compute_id=compute_id, network_id=network_id, port_id=port_id, fixed_ips=[])

    def detach_port(self, compute_id, port_id):
        ask('detach', compute_id, port_id)


class Network(NoopNetworkDriver):
    """Security groups and quality of service are without effect, as in the driver below."""

    def get_network(self, network_id, context=None):
        return network.Network(port_security_enabled=True, **ask('network', network_id))

    def get_subnet(self, subnet_id, context=None):
        found = ask('subnet', subnet_id)
        routes = [network.HostRoute(**route) for route in found.pop('host_routes')]
        return network.Subnet(host_routes=routes, **found)

    def get_port(self, port_id, context=None):
        return self._port(ask('port', port_id))

    def get_plugged_networks(self, compute_id):
        ports = [self._port(port) for port in ask('plugged', compute_id)]
        return [network.Interface(compute_id=compute_id, network_id=port.network_id, port_id=port.id,
                                  fixed_ips=port.fixed_ips) for port in ports]

    def allocate_vip(self, loadbalancer):
        vip, more = loadbalancer.vip, loadbalancer.additional_vips
        wanted = [{'subnet_id': each.subnet_id, 'ip_address': each.ip_address} for each in (vip, *more)]
        network_id = self.get_subnet(vip.subnet_id).network_id
        port = self.create_port(network_id, f'vip-{loadbalancer.id}', wanted)
        # Without an address in the wish the network has chosen one.
        address = {each.subnet_id: each.ip_address for each in port.fixed_ips}
        same = {'network_id': network_id, 'port_id': port.id, 'load_balancer_id': loadbalancer.id}
        chosen = [{'subnet_id': each.subnet_id, 'ip_address': each.ip_address or address[each.subnet_id], **same}
                  for each in (vip, *more)]
        return data_models.Vip(**chosen[0]), [data_models.AdditionalVip(**each) for each in chosen[1:]]

    def deallocate_vip(self, vip):
        self.delete_port(vip.port_id)

    def plug_aap_port(self, load_balancer, vip, amphora, subnet):
        addresses = [each.ip_address for each in (vip, *load_balancer.additional_vips)]
        port = self.create_port(subnet.network_id, f'base-{amphora.id}', [{'subnet_id': subnet.id}], addresses)
        ask('attach', amphora.compute_id, port.id)
        return data_models.Amphora(id=amphora.id, compute_id=amphora.compute_id, ha_ip=vip.ip_address,
                                   ha_port_id=vip.port_id, vrrp_ip=port.fixed_ips[0].ip_address,
                                   vrrp_port_id=port.id)

    def unplug_vip(self, loadbalancer, vip):
        for amphora in loadbalancer.amphorae:
            self.unplug_aap_port(vip, amphora, None)

    def unplug_aap_port(self, vip, amphora, subnet):
        self.delete_port(amphora.vrrp_port_id)

    def plug_network(self, compute_id, network_id):
        port = self.create_port(network_id, f'member-{compute_id}-{network_id}')
        ask('attach', compute_id, port.id)
        return network.Interface(compute_id=compute_id, network_id=network_id, port_id=port.id,
                                 fixed_ips=port.fixed_ips)

    def unplug_network(self, compute_id, network_id):
        for interface in self.get_plugged_networks(compute_id):
            if interface.network_id == network_id:
                ask('detach', compute_id, interface.port_id)

    def plug_fixed_ip(self, port_id, subnet_id, ip_address=None):
        port = self.get_port(port_id)
        return self.create_port(port.network_id, port.name, [{'subnet_id': subnet_id, 'ip_address': ip_address}])

    def unplug_fixed_ip(self, port_id, subnet_id):
        return self.get_port(port_id)

    def create_port(self, network_id, name=None, fixed_ips=(), secondary_ips=(), **_):
        return self._port(ask('create', {'name': name, 'network_id': network_id, 'project_id': None,
                                         'fixed_ips': fixed_ips, 'allowed_addresses': secondary_ips}))

    def delete_port(self, port_id):
        ask('forget', port_id)

    def get_network_configs(self, loadbalancer, amphora=None):
        vip = loadbalancer.vip
        more = [network.AdditionalVipData(ip_address=each.ip_address, subnet=self.get_subnet(each.subnet_id))
                for each in loadbalancer.additional_vips]
        subnet, vip_port = self.get_subnet(vip.subnet_id), self.get_port(vip.port_id)
        return {each.id: network.AmphoraNetworkConfig(
            amphora=each, vip_subnet=subnet, vip_port=vip_port, vrrp_subnet=subnet,
            vrrp_port=self.get_port(each.vrrp_port_id), ha_subnet=subnet, ha_port=vip_port,
            additional_vip_data=more) for each in ([amphora] if amphora else loadbalancer.amphorae)}

    def _port(self, found):
        addresses = [network.FixedIP(**each) for each in found.pop('fixed_ips')]
        return network.Port(fixed_ips=addresses, network=self.get_network(found['network_id']), **found)
