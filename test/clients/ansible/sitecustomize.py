"""Debian 12's openstack.cloud modules refuse Debian 12's own openstacksdk for its version number; only that number is changed."""

try:
    import openstack.version

    openstack.version.__version__ = "0.98.999"
except ImportError:
    pass
