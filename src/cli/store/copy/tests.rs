//! The comparison, of what a copy left out.

use std::{collections::BTreeMap, path::Path};

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    comparison::compare,
    records::copy_records,
    remains::{copy_lists, copy_notes, copy_tombstones},
    transfer::Transfer,
};
use crate::{
    store::{
        self, BoundedList, CopyMark, CopyRole, Expiry, Identity, OpenMode, OpenedStore,
        StoreSettings, redb::RedbSettings,
    },
    transaction::{AccountName, AccountNames},
};

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

async fn open(folder: &Path, name: &str, mode: OpenMode<'_>) -> OpenedStore {
    let settings = StoreSettings::Embedded {
        path: folder.join(name),
        settings: RedbSettings::default(),
    };
    let identity = Identity {
        accounts: BTreeMap::from([(AccountName::parse("main").unwrap(), "hash".to_owned())]),
        names: AccountNames::default(),
        epoch: Uuid::from_u128(1),
    };
    store::open(&settings, &identity, mode).await.unwrap()
}

#[tokio::test]
async fn comparison_finds_each_part_that_the_target_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let source = open(folder.path(), "source", OpenMode::Lost).await;
    let from = source.store();
    let keep = Expiry {
        now: now(),
        until: Timestamp::MAX,
    };
    let put = from.put_note("price:x", None, "{}", keep).await;
    put.unwrap();
    let item = from.push(BoundedList::Orphans, "{}").await;
    item.unwrap();
    source.put_tombstone(&[7; 16], "20747S").await.unwrap();
    let target = open(folder.path(), "target", OpenMode::Target).await;
    let mark = CopyMark {
        role: CopyRole::Copying,
        id: "1".to_owned(),
        peer: "source".to_owned(),
    };
    assert!(target.become_target(&source, &mark).await.unwrap());
    let copy = Transfer {
        source: &source,
        target: &target,
        mark: &mark,
        seal: " ",
        now,
    };
    let names = copy_records(&copy).await.unwrap().names;
    let different = async || match compare(&copy, &names).await {
        Ok(_) => "nothing".to_owned(),
        Err(error) => format!("{error:#}"),
    };
    assert!(different().await.starts_with("notes of the target differ"));
    assert_eq!(copy_notes(&copy).await.unwrap(), 1);
    assert!(
        different()
            .await
            .starts_with("tombstones of the target differ")
    );
    assert_eq!(copy_tombstones(&copy).await.unwrap(), 1);
    assert!(
        different()
            .await
            .starts_with("a list of the target differs")
    );
    assert_eq!(copy_lists(&copy).await.unwrap(), 1);
    assert_eq!(different().await, "nothing");
}
