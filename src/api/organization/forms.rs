//! What the routes of the organization take and give.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use store::organizations::Profile;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::{body::some, timestamp::Timestamp};

/// The organization that asks.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Organization {
    /// Its id.
    id: Uuid,
    /// Its name.
    #[schema(example = "Tables & Co")]
    name: String,
    /// Its name in URLs.
    #[schema(example = "tables")]
    slug: String,
    /// Name of its plan.
    #[schema(example = "growth")]
    plan: String,
    /// Minutes of a period that the plan includes.
    plan_minutes: i32,
    /// Price of a further minute, in US dollars.
    #[schema(value_type = String, example = "0.050000")]
    overage_price: Decimal,
    /// `soft`: further minutes are sold; `hard`: they are not.
    #[schema(example = "soft")]
    usage_limit: String,
    /// Its time zone, as IANA names it: decides its days and periods.
    #[schema(example = "Europe/Berlin")]
    timezone: String,
    /// What it chose.
    settings: Settings,
    /// Begin of the period that is open.
    current_period_start: Option<Timestamp>,
    /// End of the period that is open.
    current_period_end: Option<Timestamp>,
    /// Grows with each change; also the `ETag`.
    version: i64,
    /// When it was made.
    created_at: Timestamp,
    /// When it was last changed.
    updated_at: Timestamp,
}

/// What an organization chose.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrganizationSettings)]
struct Settings {
    /// Who hears of each call.
    notifications: Notifications,
    /// Who hears of minutes and bills.
    billing: Billing,
    /// Whether messages of providers that drive no call are stored too.
    keep_all_events: bool,
}

/// Who hears of each call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NotificationSettings)]
struct Notifications {
    /// Phone numbers in E.164 that get a text message.
    sms: Vec<String>,
    /// Addresses that get an email.
    email: Vec<String>,
}

/// Who hears of minutes and bills.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BillingSettings)]
struct Billing {
    /// Addresses that get an email; where there are none, those that hear of calls.
    email: Vec<String>,
}

impl From<Profile> for Organization {
    fn from(profile: Profile) -> Self {
        let settings = profile.settings;
        Self {
            id: profile.id.0,
            name: profile.name,
            slug: profile.slug,
            plan: profile.plan,
            plan_minutes: profile.plan_minutes,
            overage_price: profile.overage_price,
            usage_limit: profile.usage_limit,
            timezone: profile.timezone,
            settings: Settings {
                notifications: Notifications {
                    sms: settings.notifications.sms,
                    email: settings.notifications.email,
                },
                billing: Billing { email: settings.billing.email },
                keep_all_events: settings.keep_all_events,
            },
            current_period_start: profile.current_period_start.map(Timestamp),
            current_period_end: profile.current_period_end.map(Timestamp),
            version: profile.version,
            created_at: Timestamp(profile.created_at),
            updated_at: Timestamp(profile.updated_at),
        }
    }
}

/// What is to change. What is not given stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateOrganization {
    /// Its name.
    #[schema(value_type = String, max_length = 200)]
    #[serde(default, deserialize_with = "some")]
    pub(super) name: Option<String>,
    /// Its time zone, as IANA names it.
    #[schema(value_type = String, example = "Europe/Berlin")]
    #[serde(default, deserialize_with = "some")]
    pub(super) timezone: Option<String>,
    /// What it chooses.
    #[schema(value_type = UpdateSettings)]
    #[serde(default, deserialize_with = "some")]
    pub(super) settings: Option<UpdateSettings>,
}

/// What an organization chooses. What is not given stays as it is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UpdateOrganizationSettings)]
pub(super) struct UpdateSettings {
    /// Who hears of each call.
    #[schema(value_type = UpdateNotifications)]
    #[serde(default, deserialize_with = "some")]
    pub(super) notifications: Option<UpdateNotifications>,
    /// Who hears of minutes and bills.
    #[schema(value_type = UpdateBilling)]
    #[serde(default, deserialize_with = "some")]
    pub(super) billing: Option<UpdateBilling>,
    /// Whether messages of providers that drive no call are stored too.
    #[schema(value_type = bool)]
    #[serde(default, deserialize_with = "some")]
    pub(super) keep_all_events: Option<bool>,
}

/// Who hears of each call.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UpdateNotificationSettings)]
pub(super) struct UpdateNotifications {
    /// Phone numbers in E.164 that get a text message, all of them.
    #[schema(value_type = Vec<String>, max_items = 20, example = json!(["+14155550100"]))]
    #[serde(default, deserialize_with = "some")]
    pub(super) sms: Option<Vec<String>>,
    /// Addresses that get an email, all of them.
    #[schema(value_type = Vec<String>, max_items = 20, example = json!(["desk@example.com"]))]
    #[serde(default, deserialize_with = "some")]
    pub(super) email: Option<Vec<String>>,
}

/// Who hears of minutes and bills.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UpdateBillingSettings)]
pub(super) struct UpdateBilling {
    /// Addresses that get an email, all of them.
    #[schema(value_type = Vec<String>, max_items = 20, example = json!(["books@example.com"]))]
    #[serde(default, deserialize_with = "some")]
    pub(super) email: Option<Vec<String>>,
}
