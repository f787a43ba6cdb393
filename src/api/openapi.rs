//! The OpenAPI document, but for what each handler says of itself.

use utoipa::{
    PartialSchema, ToResponse, ToSchema,
    openapi::{
        Components, ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr,
        path::{Operation, ParameterBuilder, ParameterIn, PathItem},
        schema::{ObjectBuilder, Type},
        security::{
            ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
        },
    },
};

use super::{
    export,
    problem::{Body, PROBLEM, Problem},
};

const BEARER: &str = "bearer";
const HEADER: &str = "x_api_key";
/// What any route that needs a key may answer, besides what it says itself.
const COMMON: [&str; 6] = ["401", "402", "403", "429", "500", "503"];
/// Header parameters of every route, and of every POST besides.
const ORGANIZATION: (&str, &str) = (
    "X-Organization-Id",
    "With a token of a user who belongs to several organizations: which one is meant",
);
const IDEMPOTENCY_KEY: (&str, &str) = (
    "Idempotency-Key",
    "1 to 255 printable characters. The same request with the same key is done once within 24 hours, \
     and answered the same, with `Idempotent-Replayed: true`",
);

/// Title, version, security schemes and the shape of errors.
pub(super) fn base() -> OpenApi {
    let info = InfoBuilder::new()
        .title("postcall")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "What postcall knows of an organization's calls. Times are RFC 3339 in UTC, lists \
             go on by opaque cursors, and every error is application/problem+json (RFC 9457). \
             RateLimit-Policy and RateLimit tell what is left of the limits.",
        ))
        .build();
    OpenApiBuilder::new().info(info).components(Some(components())).build()
}

fn components() -> Components {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("vx_… or JWT")
        .description(Some(
            "An API key of the organization, or the access token of a member who signed in with \
             Supabase",
        ))
        .build();
    let mut schemas = vec![(PROBLEM.to_owned(), Body::schema())];
    Body::schemas(&mut schemas);
    let (name, response) = Problem::response();
    ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .response(name, response)
        .security_scheme(BEARER, SecurityScheme::Http(bearer))
        .security_scheme(
            HEADER,
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))),
        )
        .build()
}

/// Says of every route under `/v1/` that it needs a key, and what it may answer besides: in one
/// place, so that no route can leave it out.
pub(super) fn complete(mut document: OpenApi) -> OpenApi {
    for (path, item) in &mut document.paths.paths {
        if !path.starts_with("/v1/") {
            continue;
        }
        for operation in operations(item) {
            let keys = [BEARER, HEADER].map(|name| SecurityRequirement::new(name, [""; 0]));
            operation.security = Some(keys.to_vec());
            for status in COMMON {
                let problem = RefOr::Ref(Ref::from_response_name(PROBLEM));
                operation.responses.responses.entry(status.to_owned()).or_insert(problem);
            }
            header(operation, ORGANIZATION);
        }
        if let Some(post) = &mut item.post {
            let problem = RefOr::Ref(Ref::from_response_name(PROBLEM));
            post.responses.responses.entry("409".to_owned()).or_insert(problem);
            header(post, IDEMPOTENCY_KEY);
        }
    }
    export::document(&mut document);
    document
}

fn header(operation: &mut Operation, (name, description): (&str, &str)) {
    let text = ObjectBuilder::new().schema_type(Type::String);
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .description(Some(description))
        .schema(Some(text));
    operation.parameters.get_or_insert_default().push(RefOr::T(parameter.build()));
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete]
        .into_iter()
        .filter_map(Option::as_mut)
}
