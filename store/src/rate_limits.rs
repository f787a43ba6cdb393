//! Sliding windows in Redis: how much was used of each limit in the time before now, by all processes.

use std::time::Duration;

use redis::Script;

use crate::{
    StoreError,
    counters::{Counters, within_time},
    error::During,
};

/// A window is counted in so many parts: what was used comes back part by part, at most one part late.
pub const PARTS: u64 = 60;

/// Takes one of each limit, or of none where one is used up. All keys live as long as their window.
///
/// A part counts until all of it lies before the window, so that no span of time as long as the window
/// ever holds more than the limit. Redis' own clock is asked: processes need not agree on the time.
const TAKE: &str = r"
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local answer, part_of, free = {}, {}, true
for i, key in ipairs(KEYS) do
    local limit, window = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    local width = window / 60
    local part = math.floor(now / width)
    local used, oldest, aged = 0, part, {}
    local fields = redis.call('HGETALL', key)
    for f = 1, #fields, 2 do
        local at = tonumber(fields[f])
        if at <= part - 61 then
            aged[#aged + 1] = fields[f]
        else
            used = used + tonumber(fields[f + 1])
            if at < oldest then oldest = at end
        end
    end
    if #aged > 0 then redis.call('HDEL', key, unpack(aged)) end
    if used >= limit then free = false end
    part_of[i] = part
    answer[2 * i] = used
    answer[2 * i + 1] = math.ceil(math.max((oldest + 61) * width - now, 0) * 1000)
end
answer[1] = free and 1 or 0
if free then
    for i, key in ipairs(KEYS) do
        redis.call('HINCRBY', key, part_of[i], 1)
        redis.call('PEXPIRE', key, tonumber(ARGV[2 * i]) * 1000)
    end
end
return answer";

/// One limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Its key in Redis.
    pub key: String,
    /// So many in each window.
    pub most: u32,
    /// The window.
    pub window: Duration,
}

/// How much of a limit was used before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Of the window that ends now.
    pub used: u32,
    /// When some of it comes back.
    pub back_in: Duration,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Whether one was taken of each.
    pub taken: bool,
    /// What was used of each before, in the order of the limits.
    pub usages: Vec<Usage>,
}

/// Takes one of each limit if none is used up.
///
/// # Errors
/// When Redis does not answer within `patience`. It may have taken them all the same.
pub async fn take(
    redis: &Counters,
    limits: &[Limit],
    patience: Duration,
) -> Result<Taken, StoreError> {
    let script = Script::new(TAKE);
    let mut call = script.prepare_invoke();
    for limit in limits {
        call.key(&limit.key).arg(limit.most).arg(limit.window.as_secs());
    }
    let ask = async {
        let mut connection = redis.connection().await?;
        call.invoke_async::<Vec<u64>>(&mut connection).await
    };
    let answer = within_time(patience, ask).await.during("rate_limits.take")?;
    let (free, usages) = answer.split_first().unwrap_or((&0, &[]));
    let usage = |pair: &[u64]| Usage {
        used: u32::try_from(pair[0]).unwrap_or(u32::MAX),
        back_in: Duration::from_millis(pair[1]),
    };
    Ok(Taken { taken: *free == 1, usages: usages.chunks_exact(2).map(usage).collect() })
}
