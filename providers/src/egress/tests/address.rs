use std::net::{IpAddr, Ipv6Addr};

use crate::egress::Egress;

#[test]
fn addresses_of_every_special_class_are_refused() {
    let strict = Egress::new(false);
    for text in [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:8.8.8.8",
        "::ffff:0:7f00:1",
        "64:ff9b::7f00:1",
        "64:ff9b::8.8.8.8",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:7f00:1::",
        "2001:10::1",
        "2001:20::1",
        "2001:1ff::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:808:808::1",
        "2a00:1450::5efe:10.0.0.1",
        "2a00:1450::200:5efe:10.0.0.1",
        "3fff::1",
        "3fff:fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
    ] {
        let address: IpAddr = text.parse().expect(text);
        assert!(!strict.allows(address), "{text}");
    }
}

#[test]
fn public_addresses_and_the_edges_of_ranges_are_allowed() {
    let (strict, development) = (Egress::new(false), Egress::new(true));
    for text in [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "168.63.129.17",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:200::1",
        "2001:db7::1",
        "2001:4860:4860::8888",
        "2606:4700::1111",
        "3ffe::1",
    ] {
        let address: IpAddr = text.parse().expect(text);
        assert!(strict.allows(address), "{text}");
    }
    let loopback = IpAddr::V6(Ipv6Addr::LOCALHOST);
    assert!(development.allows(loopback) && !strict.allows(loopback));
    assert!(!development.allows([10, 0, 0, 1].into()));
}
