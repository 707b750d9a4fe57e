"""What a service of OpenStack hears of others: prints each notification as a line of JSON. Argument: the transport URL."""
import json
import logging
import sys

from oslo_config import cfg
import oslo_messaging


class Endpoint:
    def __getattr__(self, priority):
        if priority not in ('info', 'error'):
            raise AttributeError(priority)

        def hear(context, publisher_id, event_type, payload, metadata):
            line = {'priority': priority, 'context': context, 'publisher_id': publisher_id}
            line.update(event_type=event_type, payload=payload, metadata=metadata)
            print(json.dumps(line), flush=True)

        return hear


# A broker that is away for a while is part of the test.
logging.disable()
conf = cfg.ConfigOpts()
conf([])
oslo_messaging.set_transport_defaults(control_exchange='octavia')
transport = oslo_messaging.get_notification_transport(conf, url=sys.argv[1])
targets = [oslo_messaging.Target(topic='notifications')]
listener = oslo_messaging.get_notification_listener(transport, targets, [Endpoint()], executor='threading')
listener.start()
print('"listening"', flush=True)
listener.wait()
