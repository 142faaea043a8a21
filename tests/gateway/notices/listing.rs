//! `ListNotices`: repeated notices, and pages.

use okebayar_gateway::grpc::v1::{
    ListNoticesRequest, Notice, notice_service_client::NoticeServiceClient,
};

use crate::support::{
    on_both_stores,
    process::PATIENCE,
    world::{Gateway, PLAIN, StoreKind, WATER, World, order, pay, reference},
};

async fn notices(gateway: &Gateway, request: ListNoticesRequest) -> (Vec<Notice>, String) {
    let url = format!("http://{}", gateway.grpc);
    let mut client = NoticeServiceClient::connect(url).await.unwrap();
    let page = client.list_notices(request).await.unwrap().into_inner();
    (page.notices, page.next_page_token)
}

async fn repeated_notice_is_listed_once(kind: StoreKind) {
    let world = World::new(kind).await;
    let gateway = world.start_gateway().await;
    let mut client = gateway.client().await;
    let advertised = || {
        let mut request = order(&reference(), PLAIN);
        request.product_code = "DATA1GB".into();
        request
    };
    for _ in 0..3 {
        client.purchase_prepaid(advertised()).await.unwrap();
    }
    let inquiry = gateway.bill(WATER, "1111111").await;
    pay(&mut client, &reference(), &inquiry).await.unwrap();
    // Notices are stored shortly after the answer.
    let kept = async {
        loop {
            let (kept, _) = notices(&gateway, ListNoticesRequest::default()).await;
            let counted: i64 = kept.iter().map(|notice| notice.count).sum();
            if counted == 4 {
                return kept;
            }
        }
    };
    let kept = tokio::time::timeout(PATIENCE, kept)
        .await
        .expect("the notice was never kept");
    let counts: Vec<(&str, i64)> = kept
        .iter()
        .map(|notice| (notice.text.as_str(), notice.count))
        .collect();
    let promo = "PROMO DATA1GB SAMPAI AKHIR BULAN";
    assert_eq!(counts, [("TERIMA KASIH", 1), (promo, 3)]);
    assert!(kept.iter().all(|notice| notice.account == "main"));
    let seconds = |notice: &Notice| {
        let (first, last) = (notice.first_time.unwrap(), notice.last_time.unwrap());
        (first.seconds, first.nanos) <= (last.seconds, last.nanos)
    };
    assert!(kept.iter().all(seconds));

    let mut page = ListNoticesRequest {
        page_size: 1,
        ..ListNoticesRequest::default()
    };
    let (first, token) = notices(&gateway, page.clone()).await;
    page.page_token = token;
    let (second, end) = notices(&gateway, page).await;
    assert_eq!([first, second].concat(), kept);
    assert!(end.is_empty());
}

on_both_stores!(repeated_notice_is_listed_once,);
