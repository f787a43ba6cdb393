//! The OpenAPI document, but for what each handler says of itself.

mod headers;
mod present;
mod tags;

use utoipa::{
    PartialSchema, ToResponse, ToSchema,
    openapi::{
        Components, ComponentsBuilder, ContactBuilder, InfoBuilder, LicenseBuilder, OpenApi,
        OpenApiBuilder, Ref, RefOr, Required, Schema, ServerBuilder,
        path::{Operation, ParameterBuilder, ParameterIn, PathItem},
        schema::{KnownFormat, ObjectBuilder, SchemaFormat, SchemaType, Type},
        security::{
            ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
        },
    },
};

use super::{
    export,
    idempotency::LONGEST_KEY,
    problem::{Body, PROBLEM, Problem},
};

const BEARER: &str = "bearer";
const HEADER: &str = "x_api_key";
const LICENSE: &str = env!("CARGO_PKG_LICENSE");
/// What any route that needs a key may answer, besides what it says itself.
const COMMON: [&str; 7] = ["400", "401", "402", "403", "429", "500", "503"];
const UUID: SchemaFormat = SchemaFormat::KnownFormat(KnownFormat::Uuid);
/// Header parameters of every route, and of every POST besides.
const ORGANIZATION: (&str, &str) = (
    "X-Organization-Id",
    "With a token of a user who belongs to several organizations: which one is meant. An API key has one",
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
        .contact(Some(ContactBuilder::new().name(Some("Whoever runs this installation")).build()))
        .license(Some(LicenseBuilder::new().name(LICENSE).identifier(Some(LICENSE)).build()))
        .build();
    OpenApiBuilder::new()
        .info(info)
        // Wherever the document was read.
        .servers(Some([ServerBuilder::new().url("/").build()]))
        .tags(Some(tags::tags()))
        .components(Some(components()))
        .build()
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
            for operation in operations(item) {
                operation.security = Some(Vec::new());
                let problem = RefOr::Ref(Ref::from_response_name(PROBLEM));
                operation.responses.responses.insert("405".to_owned(), problem);
            }
            continue;
        }
        for operation in operations(item) {
            let keys = [BEARER, HEADER].map(|name| SecurityRequirement::new(name, [""; 0]));
            operation.security = Some(keys.to_vec());
            for status in COMMON {
                let problem = RefOr::Ref(Ref::from_response_name(PROBLEM));
                operation.responses.responses.entry(status.to_owned()).or_insert(problem);
            }
            header(operation, ORGANIZATION, |text| text.format(Some(UUID)));
            say_what_is_needed(operation);
        }
        if let Some(post) = &mut item.post {
            let problem = RefOr::Ref(Ref::from_response_name(PROBLEM));
            post.responses.responses.entry("409".to_owned()).or_insert(problem);
            header(post, IDEMPOTENCY_KEY, |text| {
                text.min_length(Some(1)).max_length(Some(LONGEST_KEY)).pattern(Some("^[ -~]+$"))
            });
        }
    }
    export::document(&mut document);
    headers::document(&mut document);
    present::document(&mut document);
    document
}

/// A part of the path always is; what may be left out of query, headers or body is not what may be null.
fn say_what_is_needed(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        if parameter.parameter_in == ParameterIn::Path {
            parameter.required = Required::True;
        }
        if let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema {
            if let SchemaType::Array(types) = &object.schema_type {
                let one = types.iter().find(|one| **one != Type::Null).cloned();
                object.schema_type = one.map_or(SchemaType::AnyValue, SchemaType::Type);
            }
            if parameter.name == "cursor" {
                object.min_length = Some(1);
                object.pattern = Some("^[A-Za-z0-9_-]+$".to_owned());
            }
        }
    }
    let Some(RefOr::T(body)) = &mut operation.request_body else { return };
    for content in body.content.values_mut() {
        let RefOr::T(content) = content else { continue };
        if let Some(RefOr::T(Schema::OneOf(options))) = &content.schema {
            content.schema = options.items.iter().find(|one| matches!(one, RefOr::Ref(_))).cloned();
            body.required = Some(Required::False);
        }
    }
}

fn header(
    operation: &mut Operation,
    (name, description): (&str, &str),
    form: impl FnOnce(ObjectBuilder) -> ObjectBuilder,
) {
    let text = form(ObjectBuilder::new().schema_type(Type::String));
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
