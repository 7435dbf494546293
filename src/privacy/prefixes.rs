//! Ranges of addresses, for an operator who may not serve some countries.
//!
//! In: a list with one range a line, which the operator brings: nobody else is asked where an address is. Out: whether an address is in one
//! of them. What a country's addresses are is as good as the list: registries publish which ranges they gave to whom, not who
//! uses them.

use std::net::IpAddr;

use super::PeerAddress;

/// Ranges of IPv6 addresses, IPv4 among them as it is mapped; sorted, none touches another. 32 bytes each.
#[derive(Debug, PartialEq, Eq)]
pub struct Prefixes(Box<[(u128, u128)]>);

impl Prefixes {
    /// Reads ranges such as `192.0.2.0/24` and `2001:db8::/32`, or single addresses; `#` begins a comment. The error is the
    /// number of the first line that is wrong.
    pub fn parse(text: &str) -> Result<Self, usize> {
        let mut ranges = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                ranges.push(range(line).ok_or(number + 1)?);
            }
        }
        ranges.sort_unstable();
        let mut apart: Vec<(u128, u128)> = Vec::new();
        for (from, to) in ranges {
            match apart.last_mut() {
                Some((_, end)) if from <= end.saturating_add(1) => *end = to.max(*end),
                _ => apart.push((from, to)),
            }
        }
        Ok(Self(apart.into()))
    }

    /// Whether an address is in one of the ranges.
    pub fn contain(&self, address: &PeerAddress) -> bool {
        let address = number(address.expose());
        let after = self.0.partition_point(|(from, _)| *from <= address);
        after.checked_sub(1).is_some_and(|at| address <= self.0[at].1)
    }

    /// Ranges that are left when those that touch are one.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
    .to_bits()
}

/// The first and the last address of a range.
fn range(text: &str) -> Option<(u128, u128)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.trim().parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let free = most - bits.unwrap_or(most).min(most);
    if bits.is_some_and(|bits| bits > most) {
        return None;
    }
    // All bits free is all addresses of the family.
    let mask = 1_u128.checked_shl(free).map_or(u128::MAX, |size| size - 1);
    let from = number(address) & !mask;
    Some((from, from | mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contain(list: &str, address: &str) -> bool {
        let prefixes = Prefixes::parse(list).expect("a list");
        prefixes.contain(&PeerAddress::new(address.parse().expect("an address")))
    }

    #[test]
    fn an_address_is_found_in_its_range_however_it_came() {
        let list = "# documentation\n192.0.2.0/24\n2001:db8::/32 # and this\n\n198.51.100.7\n";
        for inside in ["192.0.2.0", "192.0.2.255", "::ffff:192.0.2.9", "2001:db8:ffff::1", "198.51.100.7"] {
            assert!(contain(list, inside), "{inside}");
        }
        for outside in ["192.0.1.255", "192.0.3.0", "2001:db9::", "198.51.100.6", "198.51.100.8", "::1"] {
            assert!(!contain(list, outside), "{outside}");
        }
    }

    #[test]
    fn all_of_a_family_is_a_range_and_nothing_is_none() {
        assert!(contain("0.0.0.0/0", "203.0.113.9") && !contain("0.0.0.0/0", "2001:db8::1"));
        assert!(contain("::/0", "2001:db8::1") && contain("::/0", "203.0.113.9"));
        assert!(!contain("", "203.0.113.9"));
    }

    #[test]
    fn ranges_that_touch_are_one() {
        let prefixes =
            Prefixes::parse("192.0.2.128/25\n192.0.2.0/25\n192.0.2.7\n203.0.113.0/24").expect("a list");
        assert_eq!(prefixes.len(), 2);
    }

    #[test]
    fn a_line_that_is_no_range_is_named() {
        for (list, line) in [
            ("192.0.2.0/33", 1),
            ("192.0.2.0/24\n192.0.2/24", 2),
            ("\nDE", 2),
            ("::/129", 1),
            ("1.2.3.4/x", 1),
        ] {
            assert_eq!(Prefixes::parse(list), Err(line), "{list}");
        }
    }
}
