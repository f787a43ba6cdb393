//! What the command line takes and refuses.
#![expect(clippy::unwrap_used, reason = "a failed test")]

use clap::Parser;

use super::*;

const ID: &str = "01970000-0000-7000-8000-000000000001";

#[derive(Debug, Parser)]
struct Line {
    #[command(subcommand)]
    command: WebhooksCommand,
}

fn parse(line: &str) -> Result<WebhooksCommand, clap::Error> {
    // Only whole words: a signature may have an ID within.
    let words = line.split(' ').map(|word| if word == "ID" { ID } else { word });
    Line::try_parse_from(words).map(|line| line.command)
}

#[test]
fn endpoints_are_made_and_changed_by_what_is_given() {
    for line in [
        "x create https://example.com --event *",
        "x create https://example.com --event call.* --event usage.* --thin --schedule 5,60",
        "x create https://example.com --event * --secret-file s --headers-file h --disabled",
        "x update ID --enable",
        "x update ID --disable",
        "x update ID --event call.* --rate-limit 5",
        "x update ID --clear headers,rate-limit",
        "x rotate-secret ID --overlap-seconds 0",
        "x delete ID --yes",
        "x resend ID ID",
    ] {
        assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
    }
    for line in [
        "x create https://example.com",
        "x create --event *",
        "x create https://example.com --event * --secret s",
        "x update ID",
        "x update ID -o json",
        "x update ID --enable --disable",
        "x update ID --clear url",
        "x rotate-secret ID --overlap-seconds 604801",
        "x resend ID",
        "x show 7",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}

#[test]
fn a_message_is_verified_with_secrets_from_one_place() {
    let headers = "--id msg_1 --timestamp 1 --signature v1,a";
    assert!(parse(&format!("x verify --secret a --secret b {headers} file")).is_ok());
    assert!(parse(&format!("x verify --secret-file a {headers}")).is_ok());
    assert!(parse(&format!("x verify {headers}")).is_err());
    assert!(parse(&format!("x verify --secret a --secret-file a {headers}")).is_err());
    let shown = format!("{:?}", parse(&format!("x verify --secret sesame {headers}")).unwrap());
    assert!(!shown.contains("sesame"), "{shown}");
}

#[test]
fn genuine_and_forged_messages_are_told_apart() {
    let secret = providers::webhook_out::new_secret().unwrap();
    let now = chrono::Utc::now().timestamp();
    let folder = tempfile::tempdir().unwrap();
    let (body, key) = (folder.path().join("body"), folder.path().join("key"));
    std::fs::write(&body, "{}").unwrap();
    std::fs::write(&key, format!("{}\n", secrecy::ExposeSecret::expose_secret(&secret))).unwrap();
    let signature =
        providers::webhook_out::sign("msg_1", now, b"{}", std::slice::from_ref(&secret)).unwrap();
    let verified = |id: &str, timestamp: i64| {
        let line = format!(
            "x verify --secret-file {} --id {id} --timestamp {timestamp} --signature {signature} {}",
            key.display(),
            body.display()
        );
        match parse(&line).unwrap() {
            WebhooksCommand::Verify(args) => verify::verify(&args),
            other => panic!("{other:?}"),
        }
    };
    verified("msg_1", now).unwrap();
    let forged = verified("msg_2", now).unwrap_err();
    assert!(forged.to_string().contains("no signature fits"), "{forged}");
    let old = verified("msg_1", now - 400).unwrap_err();
    assert!(old.to_string().contains("too old"), "{old}");
}
