//! What stands before every route of `/v1`: the limit by address, before anything is looked up, and the
//! headers that tell of limits, after.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{MatchedPath, Request, State},
    http::HeaderMap,
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{Tally, headers};
use crate::{
    api::ApiState,
    http_server::{PeerAddress, peer_network},
};

/// Where a request came from: through proxies that are trusted, what they say.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct ClientAddress(pub(in crate::api) IpAddr);

/// Where proxies say whom they speak for.
const FORWARDED: &str = "x-forwarded-for";

/// Counts the request of an address, lets it pass or refuses it, and tells of limits.
pub(in crate::api) async fn guard(
    State(api): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let Some(route) = route.filter(|route| route.as_str().starts_with("/v1/")) else {
        return next.run(request).await;
    };
    let limits = api.access.limits();
    let tally = Tally::default();
    if let Some(PeerAddress(peer)) = request.extensions().get::<PeerAddress>().copied() {
        let client = client(request.headers(), peer, limits.trusted_proxies());
        request.extensions_mut().insert(ClientAddress(client));
        if let Err(problem) = limits.address(&tally, peer_network(client), route.as_str()).await {
            return told(&tally, problem.into_response());
        }
    }
    request.extensions_mut().insert(tally.clone());
    told(&tally, next.run(request).await)
}

fn told(tally: &Tally, mut response: Response) -> Response {
    headers::write(response.headers_mut(), &tally.told());
    response
}

/// Whom the nearest `proxies` say they speak for: each adds the address that it was called from, so the
/// one before the last of them is the first that nobody could make up. Without proxies the header is
/// anybody's word, and not read.
fn client(headers: &HeaderMap, peer: SocketAddr, proxies: usize) -> IpAddr {
    let Some(from_the_end) = proxies.checked_sub(1) else { return peer.ip() };
    let forwarded = headers.get_all(FORWARDED).iter().filter_map(|value| value.to_str().ok());
    let addresses: Vec<&str> =
        forwarded.flat_map(|value| value.split(',')).map(str::trim).collect();
    let place = addresses.len().checked_sub(1 + from_the_end);
    place.and_then(|place| addresses[place].parse().ok()).unwrap_or(peer.ip())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_trusted_proxy_added_is_believed() {
        let peer: SocketAddr = "10.0.0.1:5".parse().unwrap();
        let client = |values: &[&str], proxies| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(FORWARDED, value.parse().unwrap());
            }
            client(&headers, peer, proxies).to_string()
        };
        let forged = &["1.1.1.1, 192.0.2.7"];
        assert_eq!(client(forged, 0), "10.0.0.1");
        assert_eq!(client(forged, 1), "192.0.2.7");
        assert_eq!(client(&["1.1.1.1", "192.0.2.7", "10.0.0.9"], 2), "192.0.2.7");
        assert_eq!(client(&[], 1), "10.0.0.1");
        assert_eq!(client(&["nonsense"], 1), "10.0.0.1");
        assert_eq!(client(&["192.0.2.7"], 3), "10.0.0.1");
    }
}
