"""Who counts as one client, to attempts and to deliveries."""

import pytest

from fileserve.access.networks import network_of

CLIENTS = [
    # address                       key                         id
    ("192.0.2.7",                   "192.0.2.7",                "ipv4"),
    ("::ffff:192.0.2.7",            "192.0.2.7",                "ipv4-in-ipv6"),
    ("2001:db8:1:2:3:4:5:6",        "2001:db8:1:2::/64",        "ipv6-by-its-network"),
    ("2001:db8:1:2::1",             "2001:db8:1:2::/64",        "its-neighbour"),
    ("2001:db8:1:3::1",             "2001:db8:1:3::/64",        "the-next-network"),
    ("fe80::1%eth0",                "fe80::/64",                "with-a-zone"),
    ("",                            "",                         "a-unix-socket"),
    ("strange",                     "strange",                  "what-a-proxy-says"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("address", "key"), [row[:2] for row in CLIENTS], ids=[row[2] for row in CLIENTS]
)
def test_who_counts_as_one_client(address: str, key: str) -> None:
    assert network_of(address) == key


def test_what_is_no_address_is_not_kept_at_any_length() -> None:
    # Of 4,096 clients that a proxy invents 16 KiB each would be 64 MiB.
    assert len(network_of("z" * 16_384)) == 64
