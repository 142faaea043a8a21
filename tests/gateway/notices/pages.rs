//! Pages of notices and orphan callbacks while items arrive, are evicted, and are lost.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use okebayar_gateway::{
    grpc::v1::{
        ListNoticesRequest, ListOrphanCallbacksRequest, notice_service_client::NoticeServiceClient,
    },
    notices::{
        orphans::{self, Orphan},
        pages::{ListPosition, PageError, read_page},
    },
    store::{LIST_MAX, Store},
    transaction::AccountName,
};
use prost::Message;
use serde_json::json;
use tonic::{Code, Status, transport::Channel};

use crate::{
    store::contract::open,
    support::{
        dice::Dice,
        on_both_stores,
        redis::Redis,
        world::{Gateway, StoreKind, World, assert_refused, minted},
    },
};

/// The names of the items that a list holds, newest first, as a store keeps them.
struct Model {
    start: Timestamp,
    held: Vec<usize>,
    made: usize,
}

impl Model {
    fn new() -> Self {
        Self {
            start: "2100-01-01T00:00:00Z".parse().unwrap(),
            held: Vec::new(),
            made: 0,
        }
    }

    /// Pushes an item; one in three belongs to `second`.
    async fn push(&mut self, store: &dyn Store) {
        let number = self.made;
        self.made += 1;
        let name = if is_second(number) { "second" } else { "main" };
        let seconds = SignedDuration::from_secs(i64::try_from(number).unwrap());
        let orphan = Orphan {
            account: AccountName::parse(name).unwrap(),
            reference_code: number.to_string(),
            status: "000".into(),
            at: self.start.checked_add(seconds).unwrap(),
        };
        orphans::add_orphan(store, &orphan).await.unwrap();
        self.held.insert(0, number);
        self.held.truncate(LIST_MAX);
    }
}

fn is_second(number: usize) -> bool {
    number.is_multiple_of(3)
}

/// Reads every page, of random sizes, while items arrive between them; returns what was listed.
async fn list_while_items_arrive(
    store: &dyn Store,
    model: &mut Model,
    dice: &mut Dice,
    arrivals_max: usize,
    only_second: bool,
) -> Vec<usize> {
    let (mut listed, mut after) = (Vec::new(), ListPosition::default());
    loop {
        let size = 1 + dice.roll(150);
        let is_wanted =
            |orphan: &Orphan| !only_second || is_second(orphan.reference_code.parse().unwrap());
        let page = read_page(store, after, size, is_wanted).await.unwrap();
        assert!(page.items.len() <= size);
        let numbers = page.items.iter();
        listed.extend(numbers.map(|orphan| orphan.reference_code.parse::<usize>().unwrap()));
        match page.next {
            Some(next) => after = next,
            None => return listed,
        }
        for _ in 0..dice.roll(arrivals_max + 1) {
            model.push(store).await;
        }
    }
}

async fn each_item_is_listed_once_while_items_arrive_and_are_evicted(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let (mut model, mut dice) = (Model::new(), Dice(77));
    let mut evicted = 0;
    // A short list, one that grows to its limit, and full ones that lose items meanwhile.
    for (fill, arrivals_max) in [(0, 0), (7, 3), (400, 30), (LIST_MAX, 10), (0, 60), (0, 400)] {
        for _ in 0..fill {
            model.push(store).await;
        }
        for only_second in [false, true] {
            let before = model.held.clone();
            let listed =
                list_while_items_arrive(store, &mut model, &mut dice, arrivals_max, only_second)
                    .await;
            let wanted = |number: &&usize| !only_second || is_second(**number);
            // Newest first, without those that arrived meanwhile.
            let order: Vec<usize> = before.iter().filter(wanted).copied().collect();
            assert!(
                listed.windows(2).all(|pair| pair[0] > pair[1]),
                "{listed:?}"
            );
            assert_eq!(listed, order[..listed.len()], "{arrivals_max}");
            // All that were not evicted before the listing came to them.
            let still_held = order.iter().filter(|number| model.held.contains(number));
            assert!(listed.len() >= still_held.count(), "{arrivals_max}");
            evicted += order.len() - listed.len();
        }
    }
    assert!(evicted > 100, "{evicted}");
}

async fn item_stored_twice_is_listed_once(kind: StoreKind) {
    let opened = open(kind).await;
    let store = &*opened.store;
    let orphan = |number: usize| Orphan {
        account: AccountName::parse("main").unwrap(),
        reference_code: number.to_string(),
        status: "000".into(),
        at: "2100-01-01T00:00:00Z".parse().unwrap(),
    };
    // A push whose result was indeterminate is repeated.
    for number in [0, 1, 1, 2, 2, 2] {
        orphans::add_orphan(store, &orphan(number)).await.unwrap();
    }
    for size in 1..7 {
        let (mut listed, mut after) = (Vec::new(), ListPosition::default());
        loop {
            let page = read_page::<Orphan>(store, after, size, |_| true)
                .await
                .unwrap();
            listed.extend(page.items);
            let Some(next) = page.next else { break };
            after = next;
        }
        assert_eq!(listed, [orphan(2), orphan(1), orphan(0)], "{size}");
    }
}

async fn anchor_of_another_store_is_lost(kind: StoreKind) {
    let (first, second) = (open(kind).await, open(kind).await);
    let (mut model, mut other) = (Model::new(), Model::new());
    for _ in 0..5 {
        model.push(&*first.store).await;
    }
    let page = read_page::<Orphan>(&*first.store, ListPosition::default(), 2, |_| true).await;
    let after = page.unwrap().next.unwrap();
    // An emptied store holds nothing older.
    let read =
        async |store: &dyn Store| read_page::<Orphan>(store, after.clone(), 2, |_| true).await;
    let empty = read(&*second.store).await.unwrap();
    assert!(empty.items.is_empty() && empty.next.is_none());
    // A backup does.
    other.push(&*second.store).await;
    let lost = read(&*second.store).await;
    assert!(matches!(lost, Err(PageError::Lost)), "{lost:?}");
}

async fn client(gateway: &Gateway) -> NoticeServiceClient<Channel> {
    let url = format!("http://{}", gateway.grpc);
    NoticeServiceClient::connect(url).await.unwrap()
}

async fn call_back(world: &World, code: &str) {
    let url = format!("{}?referencecode={code}&status=203", world.callback_url());
    assert_eq!(reqwest::get(url).await.unwrap().status(), 200);
}

async fn orphan_that_arrives_between_pages_shifts_nothing(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let codes: Vec<String> = (0..7).map(|_| minted(0)).collect();
    for code in &codes {
        call_back(&world, code).await;
    }
    let mut client = client(&gateway).await;
    let (mut listed, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListOrphanCallbacksRequest {
            page_size: 2,
            page_token,
            ..ListOrphanCallbacksRequest::default()
        };
        let page = client.list_orphan_callbacks(request).await.unwrap();
        let page = page.into_inner();
        let found = page.orphan_callbacks.into_iter();
        listed.extend(found.map(|one| one.reference_code));
        if page.next_page_token.is_empty() {
            break;
        }
        page_token = page.next_page_token;
        for _ in 0..3 {
            call_back(&world, &minted(0)).await;
        }
    }
    let newest_first: Vec<String> = codes.into_iter().rev().collect();
    assert_eq!(listed, newest_first);
}

/// Lists the texts of one page of two notices.
async fn texts(gateway: &Gateway, page_token: &str) -> Result<(Vec<String>, String), Status> {
    let request = ListNoticesRequest {
        page_size: 2,
        page_token: page_token.to_owned(),
        ..ListNoticesRequest::default()
    };
    let page = client(gateway).await.list_notices(request).await?;
    let page = page.into_inner();
    let texts = page.notices.into_iter().map(|notice| notice.text).collect();
    Ok((texts, page.next_page_token))
}

/// Stores notices as an earlier release does.
async fn add_notices(redis: &Redis, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let at = format!("2026-01-01T00:{number:02}:00Z");
        let item = json!({
            "account": "main", "text": format!("text {number}"), "first": at, "last": at,
            "count": 1,
        });
        let push = ["LPUSH", "okb:notices", &item.to_string()];
        redis.command(&push).await;
    }
}

#[tokio::test]
async fn page_after_items_that_redis_lost_continues_or_is_rejected() {
    let world = World::new(StoreKind::Redis).await;
    let gateway = world.start_gateway().await;
    let redis = world.redis.as_ref().unwrap();
    add_notices(redis, 0..8).await;
    let (first, token) = texts(&gateway, "").await.unwrap();
    assert_eq!(first, ["text 7", "text 6"]);
    // A failover loses the newest item, but not the end of the page.
    redis.command(&["LPOP", "okb:notices"]).await;
    let (second, next) = texts(&gateway, &token).await.unwrap();
    assert_eq!(second, ["text 5", "text 4"]);
    // It loses that too: the place of the page is unknown.
    redis.command(&["LPOP", "okb:notices"]).await;
    let refused = texts(&gateway, &token).await;
    let status = assert_refused(refused, Code::InvalidArgument, "INVALID_REQUEST", "no");
    assert!(status.message().starts_with("page_token: "), "{status}");
    // A later page is not concerned.
    let (third, _) = texts(&gateway, &next).await.unwrap();
    assert_eq!(third, ["text 3", "text 2"]);
}

/// A token as every release reads it.
#[derive(Message)]
struct PageToken {
    #[prost(bytes = "vec", tag = "1")]
    scope: Vec<u8>,
    #[prost(int64, tag = "2")]
    passed: i64,
    #[prost(string, tag = "3")]
    anchor: String,
}

#[tokio::test]
async fn page_token_of_earlier_release_is_valid_and_the_other_way_round() {
    let world = World::new(StoreKind::Redis).await;
    let gateway = world.start_gateway().await;
    let redis = world.redis.as_ref().unwrap();
    add_notices(redis, 0..8).await;
    let (_, token) = texts(&gateway, "").await.unwrap();
    let decoded = URL_SAFE_NO_PAD.decode(token).unwrap();
    let token = PageToken::decode(decoded.as_slice()).unwrap();
    // An earlier release skips this many items.
    assert_eq!(token.passed, 2);
    assert_ne!(token.anchor, "");
    let earlier = PageToken {
        anchor: String::new(),
        ..token
    };
    let earlier = URL_SAFE_NO_PAD.encode(earlier.encode_to_vec());
    let (second, next) = texts(&gateway, &earlier).await.unwrap();
    assert_eq!(second, ["text 5", "text 4"]);
    // The next token is stable again.
    add_notices(redis, 8..11).await;
    let (third, _) = texts(&gateway, &next).await.unwrap();
    assert_eq!(third, ["text 3", "text 2"]);
    let all: BTreeSet<String> = second.into_iter().chain(third).collect();
    assert_eq!(all.len(), 4);
}

on_both_stores!(
    each_item_is_listed_once_while_items_arrive_and_are_evicted,
    item_stored_twice_is_listed_once,
    anchor_of_another_store_is_lost,
    orphan_that_arrives_between_pages_shifts_nothing,
);
