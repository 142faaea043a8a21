//! The lines of `CLUSTER NODES`.

use super::{address::Address, slot::SLOTS};

/// A line of `CLUSTER NODES`.
pub(super) struct Node<'a> {
    pub(super) id: &'a str,
    pub(super) address: Address,
    /// The same with the announced host name.
    named: Option<Address>,
    pub(super) is_primary: bool,
    pub(super) is_failing: bool,
    pub(super) primary_id: &'a str,
    pub(super) slots: Vec<(u16, u16)>,
}

impl<'a> Node<'a> {
    /// Parses all lines; omits those of servers without an address.
    pub(super) fn parse_all(nodes: &'a str, asked: &'a str) -> impl Iterator<Item = Self> {
        nodes
            .lines()
            .filter_map(move |line| Self::parse(line, asked))
    }

    fn parse(line: &'a str, asked: &str) -> Option<Self> {
        let mut fields = line.split(' ');
        let id = fields.next()?;
        // `host:port@bus-port[,hostname]`, and in later releases `,name=value`.
        let (address, rest) = fields.next()?.split_once('@')?;
        let flags: Vec<&str> = fields.next()?.split(',').collect();
        let primary_id = fields.next()?;
        let slots = fields.skip(4).filter_map(slot_range);
        let address = Address::parse(address, asked)?;
        let is_name = |name: &&str| !name.is_empty() && !name.contains('=');
        let name = rest.split(',').nth(1).filter(is_name);
        let named = name.map(|name| Address {
            host: name.to_owned(),
            port: address.port,
        });
        Some(Self {
            id,
            address,
            named,
            is_primary: flags.contains(&"master"),
            is_failing: flags.contains(&"fail") || flags.contains(&"fail?"),
            primary_id,
            slots: slots.collect(),
        })
    }

    /// Returns the address to use, and the other one that the cluster may give in a redirection.
    /// Certificates name hosts; without TLS the host name may mean nothing here.
    pub(super) fn addresses(&self, is_tls: bool) -> (Address, Option<Address>) {
        let by_address = self.address.clone();
        match self.named.clone() {
            Some(named) if is_tls => (named, Some(by_address)),
            named => (by_address, named),
        }
    }
}

/// Returns true when the server that returned these lines of `CLUSTER NODES` moves a slot, or
/// receives one: `[5->-id]` or `[5-<-id]`, which no other server lists.
pub(super) fn has_open_slot(nodes: &str) -> bool {
    let fields = nodes.split([' ', '\n']);
    let mut open = fields.filter(|field| field.starts_with('[') && field.ends_with(']'));
    open.any(|field| field.contains("->-") || field.contains("-<-"))
}

/// Parses `5` or `5-9`; a slot that is being moved, `[5->-id]`, is listed at its owner as well.
fn slot_range(text: &str) -> Option<(u16, u16)> {
    let (start, end) = text.split_once('-').unwrap_or((text, text));
    let (start, end) = (start.parse().ok()?, end.parse().ok()?);
    (start <= end && end < SLOTS).then_some((start, end))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::store::redis) const NODES: &str = "\
a 10.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-5460 5462 [93->-b] [77-<-c]
b 10.0.0.2:7000@17000,host master - 0 1 2 connected 5461 5463-16383
c 10.0.0.3:7000@17000 slave,fail a 0 1 1 disconnected
d :0@0 slave,noaddr a 0 1 1 disconnected
e 10.0.0.5:7000@17000 slave b 0 1 2 connected
f 10.0.0.6:7000@17000 master - 0 1 3 connected
g 10.0.0.7:7000@17000 slave f 0 1 3 connected
h 10.0.0.8:7000@17000,old,shard-id=5 master,fail - 0 1 3 disconnected
i 10.0.0.9:7000@17000,,shard-id=5 master,fail? - 0 1 3 connected
";

    #[test]
    fn announced_host_names_are_used_with_tls() {
        let nodes: Vec<Node> = Node::parse_all(NODES, "127.0.0.1").collect();
        let used = |index: usize, is_tls| nodes[index].addresses(is_tls).0.to_string();
        assert_eq!(used(1, true), "host:7000");
        assert_eq!(used(1, false), "10.0.0.2:7000");
        assert_eq!(used(0, true), "10.0.0.1:7000");
        assert!(nodes[8].named.is_none(), "a later field is no host name");
    }

    #[test]
    fn slot_that_is_being_moved_is_recognized() {
        assert!(has_open_slot(NODES));
        assert!(has_open_slot(
            "a h:1@2 myself,master - 0 0 1 connected 5 [77-<-c]\n"
        ));
        assert!(!has_open_slot(
            "a [::1]:1@2 myself,master - 0 0 1 connected 5-9\n"
        ));
    }
}
