//! Which addresses belong to the public internet (IANA special-purpose registries).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address belongs to the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = u32::from(address);
    let within = |network: [u8; 4], length: u32| {
        (bits ^ u32::from(Ipv4Addr::from(network))) >> (32 - length) == 0
    };
    const RESERVED: [([u8; 4], u32); 16] = [
        ([0, 0, 0, 0], 8),        // this network
        ([10, 0, 0, 0], 8),       // private
        ([100, 64, 0, 0], 10),    // carrier-grade NAT; Alibaba's metadata
        ([127, 0, 0, 0], 8),      // loopback
        ([168, 63, 129, 16], 32), // Azure's platform address, public by number only
        ([169, 254, 0, 0], 16),   // link-local; most clouds' metadata
        ([172, 16, 0, 0], 12),    // private
        ([192, 0, 0, 0], 24),     // protocol assignments; Oracle's metadata
        ([192, 0, 2, 0], 24),     // documentation
        ([192, 88, 99, 0], 24),   // 6to4 relays
        ([192, 168, 0, 0], 16),   // private
        ([198, 18, 0, 0], 15),    // benchmarking
        ([198, 51, 100, 0], 24),  // documentation
        ([203, 0, 113, 0], 24),   // documentation
        ([224, 0, 0, 0], 4),      // multicast
        ([240, 0, 0, 0], 4),      // reserved and broadcast
    ];
    !RESERVED.iter().any(|(network, length)| within(*network, *length))
}

/// Only global unicast, 2000::/3, less what carries other addresses or is for documents. Outside
/// lie loopback, v4-mapped, v4-compatible, NAT64 (64:ff9b::/96), ULA, link-local, site-local and
/// multicast.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, _, _, fifth, sixth, ..] = address.segments();
    let global = first & 0xE000 == 0x2000;
    let protocols = first == 0x2001 && second < 0x0200; // Teredo, ORCHID and others
    let documentation =
        (first == 0x2001 && second == 0x0DB8) || (first == 0x3FFF && second < 0x1000);
    let six_to_four = first == 0x2002;
    // ISATAP (RFC 5214): the last half carries a v4 address of the site.
    let isatap = matches!(fifth, 0 | 0x0200) && sixth == 0x5EFE;
    global && !protocols && !documentation && !six_to_four && !isatap
}
