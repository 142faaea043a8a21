//! The store notifies a process of its own commits, too: that wakes no subscriber to read what the
//! process publishes itself.

use futures::FutureExt;

use crate::support::{bench::bench, core::begin};

#[tokio::test]
async fn own_notification_during_commit_does_not_wake_subscriber() {
    let bench = bench(&[], &[]).await;
    let hub = &bench.gateway.hub;
    let transaction = begin(1).transaction;
    let (key, version) = (transaction.key(), transaction.version());
    let mut updates = hub.subscribe(&key);

    let committing = hub.committing(&transaction);
    hub.publish_remote(&key, version);
    assert_eq!(updates.changed().now_or_never(), None);
    hub.publish(&transaction);
    assert_eq!(updates.changed().await, Some(transaction));
    drop(committing);
    hub.publish_remote(&key, version);
    assert_eq!(updates.changed().now_or_never(), None);
}

#[tokio::test]
async fn notification_of_another_process_wakes_subscriber_when_commit_fails() {
    let bench = bench(&[], &[]).await;
    let hub = &bench.gateway.hub;
    let transaction = begin(1).transaction;
    let (key, version) = (transaction.key(), transaction.version());
    let mut updates = hub.subscribe(&key);

    let committing = hub.committing(&transaction);
    hub.publish_remote(&key, version);
    drop(committing);
    assert_eq!(updates.changed().now_or_never(), Some(None));

    // Another process is ahead: its version does not wait.
    let committing = hub.committing(&transaction);
    hub.publish_remote(&key, version + 1);
    assert_eq!(updates.changed().now_or_never(), Some(None));
    drop(committing);
    assert_eq!(updates.changed().now_or_never(), None);
}
