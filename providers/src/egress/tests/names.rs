use std::{sync::Arc, time::Duration};

use hyper::StatusCode;
use tokio::{sync::Semaphore, time::timeout};

use super::{client, post};
use crate::{
    canned::{
        Reply,
        names::{Answer, Names},
        serve, serve_tls,
        tls::{self, NAME},
    },
    egress::{Code, Egress, resolve::MAX_LOOKUPS},
};

fn names(answers: &[Answer]) -> Arc<Names> {
    Arc::new(Names::new([(NAME, answers.to_vec())]))
}

/// That a listener saw nobody means something only if it can be reached by a name at all.
#[tokio::test]
async fn a_name_of_an_allowed_address_is_reached() {
    let server = serve_tls(tls::good(), [Reply::Json(200, "{}".into())]).await;
    let names = names(&[&["127.0.0.1"]]);
    let client = client(&Egress::asking(true, &names));
    for host in [NAME, "receiver.test.", "127.0.0.1"] {
        let url = format!("https://{host}:{}/", server.port);
        assert_eq!(post(&client, &url).await, Ok(StatusCode::OK), "{host}");
    }
    assert_eq!((server.connections(), server.requests().len()), (3, 3));
}

#[tokio::test]
async fn one_private_address_among_public_ones_is_enough_to_refuse() {
    let server = serve([Reply::Json(200, "{}".into())]).await;
    let answers: [Answer; 12] = [
        &["127.0.0.1"],
        &["8.8.8.8", "127.0.0.1"],
        &["127.0.0.1", "8.8.8.8"],
        &["8.8.8.8", "1.1.1.1", "9.9.9.9", "1.0.0.1", "::1"],
        &["2606:4700::1111", "::ffff:127.0.0.1"],
        &["2606:4700::1111", "64:ff9b::7f00:1"],
        &["2606:4700::1111", "2002:7f00:1::"],
        &["2606:4700::1111", "::7f00:1"],
        &["169.254.169.254"],
        &["fd00:ec2::254", "8.8.8.8"],
        &["0.0.0.0"],
        &["8.8.8.8", "100.64.0.1"],
    ];
    let names = names(&answers);
    let client = client(&Egress::asking(false, &names));
    let url = format!("https://{NAME}:{}/", server.port);
    for answer in answers {
        assert_eq!(post(&client, &url).await, Err(Code::Blocked), "{answer:?}");
    }
    assert_eq!(names.asked().len(), answers.len());
    assert_eq!(server.connections(), 0);
}

/// Nobody lives at 3000::1; what comes of it depends on the machine's network, but not on the
/// second answer, which leads here.
#[tokio::test]
async fn a_name_that_changes_between_check_and_connect_gains_nothing() {
    let server = serve([Reply::Json(200, "{}".into())]).await;
    let names = names(&[&["3000::1"], &["127.0.0.1"]]);
    let egress = Egress::asking(false, &names).within(Duration::from_millis(200));
    let client = client(&egress);
    let url = format!("https://{NAME}:{}/", server.port);
    let first = post(&client, &url).await;
    assert!(matches!(first, Err(Code::Connect | Code::Timeout)), "{first:?}");
    assert_eq!(names.asked(), [NAME], "resolved once for check and connection");
    assert_eq!(post(&client, &url).await, Err(Code::Blocked));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_without_addresses_and_one_that_nobody_knows_are_failures_of_names() {
    let names = names(&[&[]]);
    let client = client(&Egress::asking(true, &names));
    assert_eq!(post(&client, &format!("https://{NAME}/")).await, Err(Code::Dns));
    assert_eq!(post(&client, "https://unknown.test/").await, Err(Code::Dns));
    // Longer than a label may be: for TLS it is no name.
    let long = format!("https://{}.test/", "a".repeat(64));
    assert_eq!(post(&client, &long).await, Err(Code::Dns));
}

#[tokio::test]
async fn the_machines_own_names_are_judged_too() {
    let server = serve([Reply::Json(200, "{}".into())]).await;
    let url = server.url.replace("127.0.0.1", "localhost");
    let development = client(&Egress::new(true));
    assert_eq!(post(&development, &url).await, Ok(StatusCode::OK));
    assert_eq!(post(&development, "https://nothing.invalid/").await, Err(Code::Dns));
    let strict = client(&Egress::new(false));
    assert_eq!(post(&strict, &url.replace("http:", "https:")).await, Err(Code::Blocked));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn what_is_not_encrypted_stays_on_this_machine() {
    let names = Arc::new(Names::new([("localhost", vec![&["8.8.8.8"] as Answer])]));
    let client = client(&Egress::asking(true, &names));
    assert_eq!(post(&client, "http://localhost:9/").await, Err(Code::Blocked));
}

#[tokio::test]
async fn numbers_are_checked_in_the_connector_as_well() {
    let strict = Egress::new(false);
    for host in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "127.1", "0x7f.1"] {
        let found = strict.addresses(host, 443).await;
        assert_eq!(found.map_err(|failure| failure.code()), Err(Code::Blocked), "{host}");
    }
    assert!(strict.addresses("8.8.8.8", 443).await.is_ok());
}

#[tokio::test]
async fn everyone_who_asks_for_a_name_shares_one_look_up_and_its_end() {
    let gate = Arc::new(Semaphore::new(0));
    let names = Names::new([(NAME, vec![&["8.8.8.8"] as Answer, &["127.0.0.1"]])]).behind(&gate);
    let names = Arc::new(names);
    let egress = Egress::asking(false, &names);
    // The first one who asked gives up; the look-up goes on.
    let brief = timeout(Duration::from_millis(20), egress.addresses(NAME, 443)).await;
    assert!(brief.is_err());
    let others: Vec<_> = (0..50)
        .map(|_| {
            let egress = egress.clone();
            tokio::spawn(async move { egress.addresses(NAME, 443).await.map(|found| found.len()) })
        })
        .collect();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(names.asked(), [NAME]);
    gate.add_permits(1);
    for other in others {
        assert_eq!(other.await.expect("ends").expect("an address"), 1);
    }
    assert_eq!(names.asked(), [NAME]);
    gate.add_permits(1);
    let again = egress.addresses(NAME, 443).await.map_err(|failure| failure.code());
    assert_eq!(again, Err(Code::Blocked), "nothing is kept: the new answer counts");
}

#[tokio::test]
async fn names_that_hang_hold_a_bounded_number_of_threads() {
    let gate = Arc::new(Semaphore::new(0));
    let names = Arc::new(Names::default().behind(&gate));
    let egress = Egress::asking(false, &names);
    let all: Vec<_> = (0..MAX_LOOKUPS + 20)
        .map(|index| {
            let egress = egress.clone();
            let name = format!("n{index}.test");
            tokio::spawn(async move { egress.addresses(&name, 443).await.is_err() })
        })
        .collect();
    while names.asked().len() < MAX_LOOKUPS {
        tokio::task::yield_now().await;
    }
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(names.asked().len(), MAX_LOOKUPS, "the others wait");
    gate.add_permits(all.len());
    for one in all {
        assert!(one.await.expect("ends"));
    }
    assert_eq!(names.asked().len(), MAX_LOOKUPS + 20);
}
