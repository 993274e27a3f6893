//! Which addresses are the public internet, and which are somebody's inside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns why an address must not be connected to, if it must not.
pub fn refusal(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => refusal_v4(address),
        IpAddr::V6(address) => refusal_v6(address),
    }
}

/// Everything public that no registry keeps for a special purpose.
fn refusal_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [0, ..] => Some("leads to an unspecified address"),
        [127, ..] => Some("leads to a loopback address"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some("leads to a private address"),
        [100, 64..=127, ..] => Some("leads to an address of a carrier's inside"),
        [169, 254, ..] => Some("leads to a link-local address"),
        // The host of a virtual machine answers here on one cloud, under an else public address.
        [168, 63, 129, 16] => Some("leads to a metadata address"),
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 18 | 19, ..] => {
            Some("leads to a reserved address")
        }
        [198, 51, 100, _] | [203, 0, 113, _] => Some("leads to a documentation address"),
        [224..=239, ..] => Some("leads to a multicast address"),
        [240..=255, ..] => Some("leads to a reserved address"),
        _ => None,
    }
}

/// Global unicast only, and what carries an IPv4 address is judged by that address.
fn refusal_v6(address: Ipv6Addr) -> Option<&'static str> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let embedded = |high: u16, low: u16| {
        let [[w, x], [y, z]] = [high.to_be_bytes(), low.to_be_bytes()];
        refusal_v4(Ipv4Addr::new(w, x, y, z))
    };
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => embedded(g, h),
        [0, 0, 0, 0, 0, 0] if g == 0 && h == 1 => Some("leads to a loopback address"),
        [0, 0, 0, 0, 0, 0] if g == 0 && h == 0 => Some("leads to an unspecified address"),
        [0x2002, ..] => embedded(b, c),
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => Some("leads to a documentation address"),
        [0x2001, 0..=0x01ff, ..] => Some("leads to a reserved address"),
        [0x2000..=0x3fff, ..] => None,
        [0xfc00..=0xfdff, ..] => Some("leads to a private address"),
        [0xfe80..=0xfeff, ..] => Some("leads to a link-local address"),
        [0xff00..=0xffff, ..] => Some("leads to a multicast address"),
        _ => Some("leads to a reserved address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    //= docs/threat-model.md#T10
    fn only_the_public_internet_is_reachable() {
        let check = |addresses: &str, expected: Option<&str>| {
            for address in addresses.split_ascii_whitespace() {
                let found = refusal(address.parse().unwrap());
                let found = found.and_then(|text| text.split_whitespace().nth(3));
                assert_eq!(found, expected, "{address}");
            }
        };
        check(
            "1.1.1.1 8.8.8.8 93.184.216.34 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1",
            None,
        );
        check("192.167.1.1 192.0.1.1 169.253.1.1 223.255.255.255 198.17.0.1 198.20.0.1", None);
        check("126.255.255.255 128.0.0.1 11.0.0.1 168.63.129.17", None);
        check("2606:4700:4700::1111 2a00:1450::1 2001:4860:4860::8888 3ffe::1", None);
        check("::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::1", None);

        check("127.0.0.1 127.255.255.255 ::1 ::ffff:127.0.0.1 64:ff9b::7f00:1", Some("loopback"));
        check("2002:7f00:1::", Some("loopback"));
        check("0.0.0.0 0.1.2.3 :: ::ffff:0.0.0.0", Some("unspecified"));
        check(
            "10.0.0.1 172.16.0.1 172.31.255.255 192.168.0.1 fc00::1 fd00:ec2::254",
            Some("private"),
        );
        check("::ffff:10.0.0.1 64:ff9b::10.0.0.1 2002:a00:1::1", Some("private"));
        check("169.254.169.254 fe80::1 fec0::1 64:ff9b::169.254.169.254", Some("link-local"));
        check("168.63.129.16 ::ffff:168.63.129.16", Some("metadata"));
        check("224.0.0.1 239.255.255.255 ff02::1 ff0e::1", Some("multicast"));
        check("192.0.0.1 192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255", Some("reserved"));
        check(
            "240.0.0.1 255.255.255.255 64:ff9b:1::1 100::1 ::127.0.0.1 2001::1",
            Some("reserved"),
        );
        check("198.51.100.1 203.0.113.1 2001:db8::1 3fff::1", Some("documentation"));
        assert!(refusal("100.64.0.1".parse().unwrap()).unwrap().contains("carrier"));
        assert!(refusal("100.100.100.200".parse().unwrap()).unwrap().contains("carrier"));
    }
}
