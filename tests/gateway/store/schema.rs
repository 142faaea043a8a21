//! Stores of an earlier schema.

use redb::{Database, TableDefinition};

use crate::support::{
    process::Process,
    world::{StoreKind, World},
};

#[tokio::test]
async fn embedded_store_of_old_schema_is_rejected_with_remedy() {
    let world = World::new(StoreKind::Embedded).await;
    let mut gateway = world.start_gateway().await;
    gateway.process.signal("-TERM");
    gateway.process.ended().await;
    let database = Database::open(world.store_file()).unwrap();
    let identity: TableDefinition<'_, &str, &str> = TableDefinition::new("identity");
    let write = database.begin_write().unwrap();
    write
        .open_table(identity)
        .unwrap()
        .insert("schema", "2")
        .unwrap();
    write.commit().unwrap();
    drop(database);
    assert_rejected_as_old_schema(&world).await;
}

#[tokio::test]
async fn redis_of_old_schema_is_rejected_with_remedy() {
    let world = World::new(StoreKind::Redis).await;
    let redis = world.redis.as_ref().unwrap();
    redis
        .command(&["HSET", "okb:identity", "schema", "2", "partitions", "64"])
        .await;
    assert_rejected_as_old_schema(&world).await;
}

async fn assert_rejected_as_old_schema(world: &World) {
    let environment = world.environment();
    let binary = crate::support::world::BINARY;
    let mut process = Process::start(binary, &["serve"], &environment, world.path());
    assert!(!process.ended().await.success());
    let text = process.text();
    assert!(
        text.contains("it has schema 2, this release needs schema 4"),
        "{text}"
    );
    assert!(text.contains("okebayar-gateway guard start"), "{text}");
}
