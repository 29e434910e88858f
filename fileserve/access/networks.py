"""Addresses of clients: when two are the same, and who shares a network (pure)."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

# What one household has of IPv6.
_IPV6_PREFIX_BITS = 64
_MAX_ADDRESS_LENGTH = 64


def plain_address(text: str) -> IPv4Address | IPv6Address:
    """An address as it is compared: IPv4 also where it came mapped into IPv6.

    Raises ValueError for what is no address.
    """
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def network_of(client: str) -> str:
    """Who counts as one client: an IPv4 address, or the /64 of an IPv6 one.

    What is no address, like that of a Unix socket, stands for itself, as far as it is not longer
    than any address: some proxies pass on whatever they were told.
    """
    try:
        address = plain_address(client.partition("%")[0])
    except ValueError:
        return client[:_MAX_ADDRESS_LENGTH]
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((address, _IPV6_PREFIX_BITS), strict=False))
