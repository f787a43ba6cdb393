//! What a period comes to: the same code for the preview as for the bill.

use chrono::{DateTime, Utc};
use contract::{
    billing::{Statement, UsageLimit},
    ids::{OrganizationId, PeriodId},
    period::{Span, period_of, zone_or_utc},
};
use rust_decimal::{Decimal, RoundingStrategy};
use sqlx::query;

use super::invalid;
use crate::{
    Database, StoreError,
    calls::word,
    database::{Tx, commit},
    error::{During, Problem},
    periods::{self, Period, PeriodStatus},
};

const OPERATION: &str = "billing.statement";
/// A cent is the smallest amount on an invoice in US dollars.
const CENTS: u32 = 2;

/// What a period comes to. Of a frozen one it is final, of any other it is what freezing it now gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// The period. None where the organization has no period yet; then it is the one that its first
    /// call begins.
    pub period_id: Option<PeriodId>,
    /// From when to when.
    pub span: Span,
    /// Where it stands.
    pub status: PeriodStatus,
    /// When it was frozen.
    pub watermark: Option<DateTime<Utc>>,
    /// When it was closed.
    pub closed_at: Option<DateTime<Utc>>,
    /// What happens when the included minutes are used up.
    pub usage_limit: UsageLimit,
    /// Its minutes.
    pub statement: Statement,
    /// Seconds on the ledger of the period; may be negative.
    pub used_seconds: i64,
    /// What the providers charge for its calls, in millionths of a US dollar.
    pub cost_micros: i64,
    /// Price of a minute beyond the included ones, in US dollars.
    pub overage_price: Decimal,
}

impl Preview {
    /// What the minutes beyond the included ones cost, in US dollars, exact.
    pub fn overage_usd(&self) -> Decimal {
        Decimal::from(self.statement.overage_minutes) * self.overage_price
    }

    /// The same in whole cents, half a cent to the even one. Stripe is told minutes, not money: its
    /// invoice is what it makes of them by the price that stands there.
    pub fn overage_usd_rounded(&self) -> Decimal {
        let mut rounded =
            self.overage_usd().round_dp_with_strategy(CENTS, RoundingStrategy::MidpointNearestEven);
        // Always with its cents, also where they are none.
        rounded.rescale(CENTS);
        rounded
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.watermark.is_some() || self.status == PeriodStatus::Closed
    }
}

/// What a period comes to; without one, the open period. Nothing is changed by asking, so a period that
/// is over and that nobody has looked at since is still the open one here.
///
/// # Errors
/// When the organization or the period does not exist, or the database fails.
pub async fn statement(
    db: &Database,
    organization: OrganizationId,
    period: Option<PeriodId>,
    now: DateTime<Utc>,
) -> Result<Preview, StoreError> {
    let mut tx = db.tenant(organization).await?;
    let period = match period {
        Some(period) => Some(period),
        None => open_period(&mut tx, organization).await?,
    };
    let preview = match period {
        Some(period) => of_period(&mut tx, organization, period).await?,
        None => before_the_first(&mut tx, organization, now).await?,
    };
    commit(tx, OPERATION).await?;
    Ok(preview)
}

async fn open_period(
    tx: &mut Tx,
    organization: OrganizationId,
) -> Result<Option<PeriodId>, StoreError> {
    let row = query!(
        "select id from billing_periods where organization_id = $1 and status = 'open'",
        organization.0,
    )
    .fetch_optional(&mut **tx)
    .await
    .during(OPERATION)?;
    Ok(row.map(|row| PeriodId(row.id)))
}

/// A period and, before it, those that have to be frozen first, because it bears what they are owed.
pub(super) async fn of_period(
    tx: &mut Tx,
    organization: OrganizationId,
    period: PeriodId,
) -> Result<Preview, StoreError> {
    let rows = query!(
        r#"select p.id, p.organization_id, p.period_start, p.period_end, p.status, p.watermark, p.closed_at,
             p.included_minutes, p.overage_price, p.usage_limit, p.carried_minutes,
             coalesce(p.used_minutes, l.minutes, 0)::bigint as "minutes!",
             coalesce(p.used_seconds, l.seconds, 0)::bigint as "seconds!",
             coalesce(p.cost_micros, l.cost, 0)::bigint as "cost!",
             p.overage_minutes::bigint as overage_minutes
         from billing_periods p
         cross join lateral (
             select sum(quantity) filter (where meter = 'call_minutes') as minutes,
                 sum(quantity) filter (where meter = 'call_seconds') as seconds,
                 sum(quantity) filter (where meter = 'call_cost') as cost
             from usage_ledger
             where organization_id = p.organization_id and period_id = p.id
                 and p.watermark is null and p.status <> 'closed'
         ) l
         where p.organization_id = $1 and (p.id = $2
             or p.watermark is null and p.status <> 'closed' and p.period_start <
                 (select t.period_start from billing_periods t
                  where t.organization_id = $1 and t.id = $2))
         order by p.period_start"#,
        organization.0,
        period.0,
    )
    .fetch_all(&mut **tx)
    .await
    .during(OPERATION)?;
    let mut books = Vec::with_capacity(rows.len());
    for row in rows {
        let of = periods::row(periods::Row {
            id: row.id,
            organization_id: row.organization_id,
            period_start: row.period_start,
            period_end: row.period_end,
            status: row.status,
            watermark: row.watermark,
            included_minutes: row.included_minutes,
            overage_price: row.overage_price,
            usage_limit: row.usage_limit,
            carried_minutes: row.carried_minutes,
        })?;
        books.push(Book {
            of,
            closed_at: row.closed_at,
            minutes: row.minutes,
            seconds: row.seconds,
            cost: row.cost,
            overage: row.overage_minutes,
        });
    }
    let last = add_up(books).filter(|last| last.period_id == Some(period));
    last.ok_or_else(|| invalid(OPERATION, "no such period"))
}

async fn before_the_first(
    tx: &mut Tx,
    organization: OrganizationId,
    now: DateTime<Utc>,
) -> Result<Preview, StoreError> {
    let row = query!(
        "select plan_minutes, overage_price, usage_limit, billing_anchor_day, timezone
         from organizations where id = $1",
        organization.0,
    )
    .fetch_optional(&mut **tx)
    .await
    .during(OPERATION)?
    .ok_or_else(|| StoreError::new(OPERATION, Problem::NotFound))?;
    let anchor_day = u32::try_from(row.billing_anchor_day).unwrap_or(1);
    let limit = word(OPERATION, &row.usage_limit)?;
    Ok(Preview {
        period_id: None,
        span: period_of(now, anchor_day, zone_or_utc(&row.timezone)),
        status: PeriodStatus::Open,
        watermark: None,
        closed_at: None,
        usage_limit: limit,
        statement: Statement::of(0, 0, row.plan_minutes.into(), limit),
        used_seconds: 0,
        cost_micros: 0,
        overage_price: row.overage_price,
    })
}

/// A period with what is on the ledger, or, of a frozen one, with what was.
struct Book {
    of: Period,
    closed_at: Option<DateTime<Utc>>,
    minutes: i64,
    seconds: i64,
    cost: i64,
    overage: Option<i64>,
}

/// The last of these periods, oldest first, where each bears what the one before it is owed.
fn add_up(books: Vec<Book>) -> Option<Preview> {
    let (mut owed, mut last) = (None, None);
    for Book { of, closed_at, minutes, seconds, cost, overage } in books {
        let is_final = of.watermark.is_some() || of.status == PeriodStatus::Closed;
        let carried = owed.filter(|_| !is_final).unwrap_or(of.carried_minutes);
        let mut statement = Statement::of(minutes, carried, of.included_minutes, of.usage_limit);
        if is_final {
            statement.overage_minutes = overage.unwrap_or(statement.overage_minutes);
        }
        owed = Some(statement.carried_on_minutes);
        last = Some(Preview {
            period_id: Some(of.id),
            span: of.span,
            status: of.status,
            watermark: of.watermark,
            closed_at,
            usage_limit: of.usage_limit,
            statement,
            used_seconds: seconds,
            cost_micros: cost,
            overage_price: of.overage_price,
        });
    }
    last
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn book(minutes: i64, carried: i64) -> Book {
        let start = "2026-11-01T00:00:00Z".parse().unwrap();
        let of = Period {
            id: PeriodId(Uuid::now_v7()),
            organization_id: OrganizationId(Uuid::nil()),
            span: Span { start, end: start + chrono::TimeDelta::days(30) },
            status: PeriodStatus::Closing,
            watermark: None,
            included_minutes: 100,
            overage_price: "0.125".parse().unwrap(),
            usage_limit: UsageLimit::Soft,
            carried_minutes: carried,
        };
        Book { of, closed_at: None, minutes, seconds: minutes * 60, cost: 0, overage: None }
    }

    #[test]
    fn what_an_unfrozen_period_is_owed_passes_on_to_the_next() {
        let last = add_up(vec![book(-30, 0), book(10, 0), book(150, 0)]).unwrap();
        assert_eq!(last.statement.carried_minutes, -20);
        assert_eq!(last.statement.overage_minutes, 30);
        let stored = add_up(vec![book(150, -7)]).unwrap();
        assert_eq!(stored.statement.overage_minutes, 43, "the freeze before wrote it down");
    }

    #[test]
    fn a_frozen_period_says_what_it_said() {
        let mut frozen = book(150, -7);
        frozen.of.watermark = Some(frozen.of.span.end);
        frozen.overage = Some(43);
        let before = book(-1000, 0);
        let last = add_up(vec![before, frozen]).unwrap();
        assert_eq!((last.statement.carried_minutes, last.statement.overage_minutes), (-7, 43));
        assert!(last.is_frozen());
    }

    #[test]
    fn money_is_exact_and_half_a_cent_goes_to_the_even_one() {
        let usd = |overage: i64, price: &str| {
            let mut book = book(100 + overage, 0);
            book.of.overage_price = price.parse().unwrap();
            let preview = add_up(vec![book]).unwrap();
            (preview.overage_usd().to_string(), preview.overage_usd_rounded().to_string())
        };
        assert_eq!(usd(1, "0.125"), ("0.125".to_owned(), "0.12".to_owned()));
        assert_eq!(usd(3, "0.125"), ("0.375".to_owned(), "0.38".to_owned()));
        assert_eq!(usd(333, "0.000001"), ("0.000333".to_owned(), "0.00".to_owned()));
        assert_eq!(usd(0, "0.1"), ("0".to_owned(), "0.00".to_owned()));
        assert_eq!(usd(7, "12"), ("84".to_owned(), "84.00".to_owned()));
    }
}
