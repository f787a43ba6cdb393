//! Headers of answers, as every route sends them.

use utoipa::openapi::{
    Header, HeaderBuilder, OpenApi, PathItem, RefOr, Response,
    path::Operation,
    schema::{ObjectBuilder, Type},
};

use super::PROBLEM;

const REQUEST_ID: (&str, &str) = ("X-Request-Id", "Id of the request");
const LIMITS: [(&str, &str); 2] = [
    (
        "RateLimit-Policy",
        "The limits: how many requests in how many seconds, by key or user, organization, address",
    ),
    ("RateLimit", "What is left of them, and in how many seconds there is more"),
];
const RETRY_AFTER: (&str, &str) = ("Retry-After", "Seconds after which another try is worth it");
const REPLAYED: (&str, &str) = (
    "Idempotent-Replayed",
    "`true` where the answer was given before, to the same Idempotency-Key",
);
const ETAG: (&str, &str) = ("ETag", "The version, for If-Match");

/// Says of every answer which headers it has.
pub(super) fn document(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let is_v1 = path.starts_with("/v1/");
        let is_versioned = item.patch.as_ref().is_some_and(takes_if_match);
        let PathItem { get, post, put, patch, delete, .. } = item;
        for (operation, is_post) in
            [(get, false), (post, true), (put, false), (patch, false), (delete, false)]
        {
            let Some(operation) = operation else { continue };
            for (status, response) in &mut operation.responses.responses {
                let RefOr::T(response) = response else { continue };
                add(response, REQUEST_ID);
                if !is_v1 || !status.starts_with('2') {
                    continue;
                }
                LIMITS.into_iter().for_each(|header| add(response, header));
                if is_post {
                    add(response, REPLAYED);
                }
                if is_versioned && !is_post && !response.content.is_empty() {
                    add(response, ETAG);
                }
            }
        }
    }
    let components = document.components.get_or_insert_default();
    if let Some(RefOr::T(problem)) = components.responses.get_mut(PROBLEM) {
        [REQUEST_ID, RETRY_AFTER].into_iter().chain(LIMITS).for_each(|header| add(problem, header));
    }
}

fn takes_if_match(operation: &Operation) -> bool {
    operation.parameters.iter().flatten().any(|parameter| match parameter {
        RefOr::T(parameter) => parameter.name == "If-Match",
        RefOr::Ref(_) => false,
    })
}

fn add(response: &mut Response, (name, description): (&str, &str)) {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    let header: Header =
        HeaderBuilder::new().schema(Some(text)).description(Some(description)).build();
    response.headers.entry(name.to_owned()).or_insert(header.into());
}
