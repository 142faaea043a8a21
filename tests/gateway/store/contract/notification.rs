//! The contract of notifications, and the connection that brings them.

use std::{sync::Arc, time::Instant};

use jiff::SignedDuration;
use okebayar_gateway::store::{Notification, Store};

use super::{done, on_each_store, open, open_redis};
use crate::support::{core::begin, process::PATIENCE, redis::Redis, world::StoreKind};

async fn subscription_is_reported_before_first_change(kind: StoreKind) {
    let opened = open(kind).await;
    let (tell, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let store = Arc::clone(&opened.store);
    let listening = tokio::spawn(async move {
        let wake = |news: Notification| tell.send(news).unwrap();
        store.listen(&wake).await
    });
    assert_eq!(heard.recv().await, Some(Notification::Listening));
    let first = begin(1);
    done(&*opened.store, &first).await;
    if kind == StoreKind::Redis {
        let key = first.transaction.key();
        assert_eq!(heard.recv().await, Some(Notification::Change(key, 1)));
    }
    listening.abort();
}

/// A failover may have moved the address to another server.
#[tokio::test]
async fn write_rejecting_server_is_left_at_most_once_per_second() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path()).await;
    let store = open_redis(&redis.url, SignedDuration::from_hours(1)).await;
    let store = Arc::new(store);
    let (tell, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let listener = Arc::clone(&store);
    let listening = tokio::spawn(async move {
        let wake = |news: Notification| drop(tell.send(news));
        listener.listen(&wake).await
    });
    assert_eq!(heard.recv().await, Some(Notification::Listening));
    let mut connection = redis.connection().await;
    let mut connections = async || {
        let mut info = redis::cmd("INFO");
        info.arg("stats");
        let stats: String = info.query_async(&mut connection).await.unwrap();
        let count = stats
            .lines()
            .find_map(|line| line.strip_prefix("total_connections_received:"));
        count.unwrap().trim().parse::<u64>().unwrap()
    };
    let refuse = ["CONFIG", "SET", "min-replicas-to-write", "1"];
    redis.command(&refuse).await;
    let (before, began) = (connections().await, Instant::now());
    let refused = async || {
        let error = store.verify().await.unwrap_err();
        assert!(error.to_string().contains("NOREPLICAS"), "{error}");
    };
    let left = async {
        while !listening.is_finished() {
            refused().await;
        }
    };
    tokio::time::timeout(PATIENCE, left)
        .await
        .expect("the subscription stays with it");
    listening.await.unwrap().unwrap();
    for _ in 0..300 {
        refused().await;
    }
    let made = connections().await - before;
    let seconds = began.elapsed().as_secs();
    assert!(made >= 1, "the connection was not left");
    assert!(made <= seconds + 2, "{made} connections in {seconds} s");

    let accept = ["CONFIG", "SET", "min-replicas-to-write", "0"];
    redis.command(&accept).await;
    store.verify().await.unwrap();
}

on_each_store!(subscription_is_reported_before_first_change,);
