//! `store stats`.

use crate::support::{
    failover::stop,
    on_both_stores,
    store_command::store_done,
    world::{PENDING_FOR_EVER, PLAIN, StoreKind, World, buy, reference},
};

async fn stats_show_states_bytes_and_growth(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    for account_number in [PLAIN, PLAIN, PENDING_FOR_EVER] {
        buy(&mut client, &reference(), account_number).await;
    }
    stop(gateway).await;
    let stats = store_done(&world, &["stats"]).await;
    let count_of = |state: &str| {
        let line = stats
            .lines()
            .find_map(|line| line.trim().strip_prefix(state));
        let line = line.unwrap_or_else(|| panic!("{state} is missing in {stats}"));
        line.trim().parse::<u64>().unwrap()
    };
    assert_eq!((count_of("SUCCEEDED"), count_of("all")), (2, 3), "{stats}");
    let (_, growth) = stats.split_once("growth by day").unwrap();
    let growth = growth.lines().skip(1);
    let growth = growth.map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let count = |word: &str| word.parse::<u64>().unwrap();
        (count(words[1]), count(words[3]))
    });
    // The test may run over midnight.
    let days: Vec<(u64, u64)> = growth.collect();
    assert_eq!(days.iter().map(|(records, _)| records).sum::<u64>(), 3);
    assert!(days[0].1 + days[1].1 > 900, "{stats}");
    let is_of_records = |line: &&str| line.trim().starts_with("records ") && line.contains(" in ");
    let records = stats.lines().find(is_of_records).unwrap();
    assert!(records.contains("in 3 entries"), "{stats}");
    let tables = match kind {
        StoreKind::Embedded => ["traces ", "tombstones ", "notes "],
        StoreKind::Redis => ["trace codes ", "tombstones ", "notes "],
    };
    for (table, is_used) in tables.into_iter().zip([true, false, true]) {
        let of_table = |line: &&str| line.trim().starts_with(table);
        let line = stats.lines().find(of_table);
        let line = line.unwrap_or_else(|| panic!("{table} is missing in {stats}"));
        assert_eq!(!line.contains(" in 0 entries"), is_used, "{stats}");
    }
}

on_both_stores!(stats_show_states_bytes_and_growth);
