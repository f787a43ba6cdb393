use std::net::Ipv4Addr;

use proptest::prelude::*;
use url::Url;

use crate::egress::{Egress, Refused, is_public};

fn check(egress: &Egress, url: &str) -> Result<(), Refused> {
    Url::parse(url).map_err(|_| Refused::NotAUrl).and_then(|url| egress.check_url(&url))
}

#[test]
fn numbers_are_refused_however_they_are_written() {
    let strict = Egress::new(false);
    for host in [
        "127.0.0.1",
        "127.0.0.1.",
        "127.0.0.1:443",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7F.1",
        "0x7f.0x0.0x0.0x1",
        "017700000001",
        "0177.0.0.1",
        "0177.1",
        "00000177.0x0.1",
        "127.0.\t0.1",
        "①②⑦.0.0.1",
        "１２７.０.０.１",
        "127。0。0。1",
        "%31%32%37.0.0.1",
        "0",
        "0x0",
        "10.1",
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "[::]",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::ffff:a9fe:a9fe]",
        "[::ffff:0:127.0.0.1]",
        "[64:ff9b::a00:1]",
        "[64:ff9b::169.254.169.254]",
        "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
        "[2002:a00:1::]",
        "[2002:7f00:0001::1]:443",
        "[fd00:ec2::254]",
        "[fe80::1]",
    ] {
        let result = check(&strict, &format!("https://{host}/x"));
        assert_eq!(result, Err(Refused::NotPublic), "{host}");
    }
    assert_eq!(check(&strict, "https://8.8.8.8/"), Ok(()));
    assert_eq!(check(&strict, "https://134744072/"), Ok(()), "8.8.8.8 as one number");
    assert_eq!(check(&strict, "https://[2606:4700::1111]:8443/"), Ok(()));
}

#[test]
fn names_of_this_machine_are_refused_however_they_are_written() {
    let strict = Egress::new(false);
    for host in [
        "localhost",
        "LocalHost",
        "localhost.",
        "localhost:443",
        "a.localhost",
        "%6cocalhost",
        "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
        "ｌｏｃａｌｈｏｓｔ",
        "local\u{ad}host",
    ] {
        let result = check(&strict, &format!("https://{host}/x"));
        assert_eq!(result, Err(Refused::NotPublic), "{host}");
    }
    for host in ["bücher.example", "notlocalhost", "localhost.example.com", "example.com."] {
        assert_eq!(check(&strict, &format!("https://{host}/")), Ok(()), "{host}");
    }
}

#[test]
fn what_is_no_host_is_no_url() {
    let strict = Egress::new(false);
    for url in [
        "",
        "example.com",
        "data:text/plain,x",
        "file:///etc/passwd",
        "https://",
        "https://[fe80::1%25eth0]/",
        "https://[::1%lo]/",
        "https://[::ffff:127.0.0.1.]/",
        "https://256.0.0.1/",
        "https://4294967296/",
        "https://0x100000000/",
        "https://127.0.0.0.1/",
        "https://example.com%00.test/",
        "https://exa mple.com/",
        "https://example.com:65536/",
        "https://xn--/",
    ] {
        assert_eq!(check(&strict, url), Err(Refused::NotAUrl), "{url}");
    }
}

#[test]
fn only_https_without_a_user_and_http_only_to_this_machine_in_development() {
    let (strict, development) = (Egress::new(false), Egress::new(true));
    assert_eq!(check(&strict, "https://example.com/hook?x=1"), Ok(()));
    for url in ["http://example.com/", "ftp://example.com/", "http://127.0.0.1/", "ws://x/"] {
        assert_eq!(check(&strict, url), Err(Refused::Scheme), "{url}");
    }
    for url in ["http://example.com/", "http://10.0.0.1/", "http://localhost.example.com/"] {
        assert_eq!(check(&development, url), Err(Refused::Scheme), "{url}");
    }
    for url in ["http://127.0.0.1:9/", "http://[::1]:9/", "http://localhost:9/"] {
        assert_eq!(check(&development, url), Ok(()), "{url}");
    }
    for url in [
        "https://user@example.com/",
        "https://:secret@example.com/",
        "https://a:b@x/",
        "https://example.com@127.0.0.1/",
        "https://127.0.0.1:80@example.com/",
    ] {
        assert_eq!(check(&development, url), Err(Refused::Userinfo), "{url}");
    }
    // The host is what stands before the first slash of either kind, or before the fragment.
    for url in ["https://127.0.0.1\\@example.com/", "https://127.0.0.1#@example.com/"] {
        assert_eq!(check(&strict, url), Err(Refused::NotPublic), "{url}");
    }
}

proptest! {
    #[test]
    fn the_url_guard_never_panics_and_never_lets_a_private_number_through(
        text in "(https?|ftp)://[a-z0-9.:@\\[\\]%x-]{0,24}(/[ -~]{0,8})?",
        number in any::<u32>(),
    ) {
        let _ = check(&Egress::new(true), &text);
        let address = Ipv4Addr::from(number);
        let mapped = check(&Egress::new(true), &format!("https://[::ffff:{address}]/"));
        for host in [number.to_string(), format!("{number:#x}"), address.to_string()] {
            let allowed = check(&Egress::new(false), &format!("https://{host}/")).is_ok();
            prop_assert_eq!(allowed, is_public(address.into()));
        }
        prop_assert_eq!(mapped, Err(Refused::NotPublic));
    }
}
