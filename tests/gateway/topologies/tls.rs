//! TLS with a private authority and a client certificate, and a user with a password.

use crate::support::{
    acl,
    process::Process,
    redis::Redis,
    redis_cluster::{ClusterOptions, RedisCluster},
    tls::{Authority, TlsPort},
    topologies::{code_at, tag_of, use_cluster, use_sentinels},
    world::{
        BINARY, PLAIN, StoreKind, World, assert_succeeded, buy, buy_until_taken, get, minted,
        reference,
    },
};

/// A world on a server that requires a certificate of each client, and the files of the gateway.
async fn secured_world() -> (World, Redis, Authority) {
    let mut world = World::new(StoreKind::Embedded).await;
    let ours = Authority::create(world.path(), "ours");
    let tls = TlsPort::new(&ours);
    let mut arguments = acl::server_arguments(world.path());
    arguments.extend(tls.arguments.iter().cloned());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let redis = Redis::start_with(world.path(), &arguments).await;
    let own = ours.issue("gateway", "client");
    for (key, value) in [
        ("store.kind", "redis"),
        ("store.url", &tls.url()),
        ("store.username", "okebayar"),
        ("store.password", acl::PASSWORD),
        ("store.tls_ca_file", ours.file().to_str().unwrap()),
        ("store.tls_cert_file", own.certificate.to_str().unwrap()),
        ("store.tls_key_file", own.key.to_str().unwrap()),
    ] {
        world.set(key, value);
    }
    (world, redis, ours)
}

#[tokio::test]
async fn purchase_succeeds_over_tls_with_client_certificate_and_user() {
    let (world, _redis, _ours) = secured_world().await;
    let mut gateway = world.start_gateway().await;
    gateway.process.add_secret(acl::PASSWORD.to_owned());
    let code = reference();
    let mut client = gateway.client().await;
    assert_succeeded(&buy(&mut client, &code, PLAIN).await);
    assert_eq!(world.ledger(&code).await.received, 1);
}

/// The certificates of a cluster name hosts, not addresses.
#[tokio::test]
async fn cluster_is_reached_by_the_host_names_that_it_announces() {
    let mut world = World::new(StoreKind::Embedded).await;
    let ours = Authority::create(world.path(), "ours");
    let options = ClusterOptions {
        masters: 2,
        tls: Some((&ours, "localhost")),
        ..ClusterOptions::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let cluster = RedisCluster::start_with(folder.path(), options).await;
    use_cluster(&mut world, &cluster);
    let own = ours.issue("gateway", "client");
    let seed = format!("rediss://localhost:{}", cluster.nodes[0].tls.unwrap());
    for (key, value) in [
        ("store.url", seed.as_str()),
        ("store.tls_ca_file", ours.file().to_str().unwrap()),
        ("store.tls_cert_file", own.certificate.to_str().unwrap()),
        ("store.tls_key_file", own.key.to_str().unwrap()),
    ] {
        world.set(key, value);
    }
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    for node in 0..2 {
        let code = code_at(&cluster, node).await;
        assert_succeeded(&buy(&mut client, &code, PLAIN).await);
        // Redirections give the addresses.
        let slot = cluster.slot_of(&tag_of(&code)).await;
        let moving = cluster.begin_move(slot, 1 - node).await;
        while moving.step(100).await > 0 {}
        assert_succeeded(&get(&mut client, &code).await.unwrap());
        moving.finish().await;
        assert_succeeded(&get(&mut client, &code).await.unwrap());
    }
}

/// docs/redis-users.acl and docs/redis-sentinel-users.acl.
#[tokio::test]
async fn users_of_servers_and_sentinels_suffice_over_a_failover() {
    let folder = tempfile::tempdir().unwrap();
    let sentinels = acl::start_sentinels(folder.path(), 1).await;
    let mut world = World::new(StoreKind::Embedded).await;
    use_sentinels(&mut world, &sentinels);
    for (key, value) in [
        ("store.acknowledging_replicas", "all"),
        ("store.username", "okebayar"),
        ("store.password", acl::PASSWORD),
        ("store.sentinel_username", "okebayar"),
        ("store.sentinel_password", acl::PASSWORD),
    ] {
        world.set(key, value);
    }
    let mut gateway = world.start_gateway().await;
    gateway.process.add_secret(acl::PASSWORD.to_owned());
    let mut client = gateway.client().await;
    let codes = [minted(0), minted(0)];
    assert_succeeded(&buy(&mut client, &codes[0], PLAIN).await);
    sentinels.fail_over().await;
    sentinels.await_replicas().await;
    assert_succeeded(&buy_until_taken(&mut client, &codes[0], PLAIN).await);
    buy_until_taken(&mut client, &codes[1], PLAIN).await;
    for code in &codes {
        assert!(world.ledger(code).await.received <= 1);
    }
    gateway.readiness(200).await;
    assert_eq!(sentinels.denials().await, Vec::<String>::new());
}

#[tokio::test]
async fn check_names_what_is_wrong_with_certificates_and_users() {
    let (mut world, _redis, ours) = secured_world().await;
    let check = async |world: &World| {
        let arguments = ["serve", "--check"];
        let environment = world.environment();
        let mut check = Process::start(BINARY, &arguments, &environment, world.path());
        check.add_secret(acl::PASSWORD.to_owned());
        (check.ended().await.success(), check.text())
    };
    let (is_well, text) = check(&world).await;
    assert!(is_well, "{text}");
    assert!(text.contains("redis, standalone"), "{text}");

    let foreign = Authority::create(world.path(), "foreign");
    let stranger = foreign.issue("gateway", "client");
    let ours_file = ours.file();
    let right = [
        ("store.tls_ca_file", ours_file.to_str().unwrap()),
        ("store.tls_cert_file", &world.setting("store.tls_cert_file")),
        ("store.tls_key_file", &world.setting("store.tls_key_file")),
        ("store.password", acl::PASSWORD),
        ("store.username", "okebayar"),
    ]
    .map(|(key, value)| (key, value.to_owned()));
    let foreign_file = foreign.file();
    let (certificate, key) = (
        stranger.certificate.to_str().unwrap(),
        stranger.key.to_str().unwrap(),
    );
    for (wrong, named) in [
        (
            &[("store.tls_ca_file", foreign_file.to_str().unwrap())][..],
            "certificate",
        ),
        (
            &[
                ("store.tls_cert_file", certificate),
                ("store.tls_key_file", key),
            ],
            "UnknownCA",
        ),
        (
            &[("store.password", "another-password")],
            "AuthenticationFailed",
        ),
        (&[("store.username", "nobody")], "AuthenticationFailed"),
        // A user of the servers that may not read the store.
        (&[("store.username", "replica")], "NoPerm"),
    ] {
        for (key, value) in wrong {
            world.set(key, value);
        }
        let (is_well, text) = check(&world).await;
        assert!(!is_well, "{wrong:?}: {text}");
        assert!(text.contains(named), "{wrong:?}: {text}");
        for (key, value) in &right {
            world.set(key, value);
        }
    }
}
