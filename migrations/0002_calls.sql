-- Why: the inbox keeps what providers said; calls and their children, by month, what it means.

-- No foreign keys to organizations on the tables of this file: organizations are never removed
-- while they have calls, and the check would lock a row of theirs at every event.
create table inbox (
    id uuid primary key,
    organization_id uuid not null,
    provider text not null check (provider in ('vapi', 'retell', 'twilio', 'stripe')),
    event_key text not null,
    event_kind text not null,
    provider_call_id text,
    call_id uuid,
    -- What the event says of its call: see contract::call::EventKind and CallStatus.
    life text not null default 'other' check (life in ('progress', 'ended', 'report', 'other')),
    call_status text,
    headers jsonb not null default '{}',
    body bytea compression lz4,
    body_sha256 bytea not null check (length(body_sha256) = 32),
    origin text not null check (origin in ('webhook', 'spool', 'sweep', 'replay')),
    received_at timestamptz not null default now(),
    status text not null check (status in ('received', 'processed', 'parked', 'discarded')),
    parked_reason text check ((parked_reason is not null) = (status = 'parked')),
    processed_at timestamptz,
    conflicts integer not null default 0,
    -- When the dispatcher takes the row (again); null once there is nothing left to do.
    dispatch_after timestamptz,
    dispatches integer not null default 0,
    -- When `calls.finish` has included the event; `calls.close` makes it processed.
    folded_at timestamptz,
    unique (organization_id, provider, event_key)
);
create index inbox_dispatch on inbox (dispatch_after) where dispatch_after is not null;
create index inbox_call on inbox (call_id) where call_id is not null;
create index inbox_parked on inbox (organization_id, received_at) where status = 'parked';
call protect_tenant_table('inbox');
-- The dispatcher serves all organizations; it says so in its transaction and reads references only.
create policy dispatch on inbox to postcall_worker
    using (current_setting('app.scope', true) = 'dispatch')
    with check (current_setting('app.scope', true) = 'dispatch');

-- Identity of a call. Not partitioned: a unique key on `calls` would have to hold created_at.
create table call_keys (
    organization_id uuid not null,
    provider text not null check (provider in ('vapi', 'retell', 'twilio')),
    provider_call_id text not null,
    call_id uuid not null unique,
    created_at timestamptz not null,
    primary key (organization_id, provider, provider_call_id)
);
call protect_tenant_table('call_keys');

create table calls (
    id uuid not null,
    organization_id uuid not null,
    provider text not null check (provider in ('vapi', 'retell', 'twilio')),
    provider_call_id text not null,
    assistant_id uuid,
    phone_number_id uuid,
    direction text check (direction in ('inbound', 'outbound', 'web')),
    status text not null check (status in (
        'queued', 'ringing', 'in-progress', 'completed', 'failed', 'no-answer', 'busy', 'canceled')),
    outcome text,
    from_number text,
    to_number text,
    started_at timestamptz,
    ended_at timestamptz,
    duration_seconds integer check (duration_seconds >= 0),
    billed_minutes integer check (billed_minutes >= 0),
    ended_reason text,
    cost_usd numeric(12, 6),
    origin text not null check (origin in ('webhook', 'spool', 'sweep', 'replay')),
    steps jsonb not null default '[]',
    metadata jsonb,
    created_at timestamptz not null,
    updated_at timestamptz not null default now(),
    primary key (id, created_at)
) partition by range (created_at);
create index calls_organization on calls (organization_id, created_at desc, id desc);
create index calls_assistant on calls (assistant_id, created_at desc);
create index calls_from_number on calls (from_number, created_at desc);
create index calls_phone_number on calls (phone_number_id);
create index calls_active on calls (organization_id, status) where status = 'in-progress';
call protect_tenant_table('calls');

create table call_transcripts (
    call_id uuid not null,
    call_created_at timestamptz not null,
    organization_id uuid not null,
    transcript_text text not null,
    messages jsonb,
    summary text,
    search_vector tsvector not null,
    primary key (call_id, call_created_at)
) partition by range (call_created_at);
create index call_transcripts_search on call_transcripts using gin (search_vector);
create index call_transcripts_organization
    on call_transcripts (organization_id, call_created_at desc);
call protect_tenant_table('call_transcripts');

create table call_actions (
    id uuid not null,
    call_id uuid not null,
    call_created_at timestamptz not null,
    organization_id uuid not null,
    position integer not null,
    description text not null,
    owner text,
    due_at timestamptz,
    due_text text,
    status text not null default 'open' check (status in ('open', 'done', 'dismissed')),
    primary key (id, call_created_at),
    unique (call_id, call_created_at, position)
) partition by range (call_created_at);
call protect_tenant_table('call_actions');

create table call_recordings (
    call_id uuid primary key,
    call_created_at timestamptz not null,
    organization_id uuid not null,
    source_url text not null,
    storage_path text,
    content_type text,
    bytes bigint check (bytes >= 0),
    sha256 bytea check (length(sha256) = 32),
    duration_seconds integer,
    status text not null check (status in ('pending', 'stored', 'failed')),
    stored_at timestamptz
);
create index call_recordings_organization on call_recordings (organization_id);
call protect_tenant_table('call_recordings');

create table call_results (
    id uuid primary key,
    call_id uuid not null,
    call_created_at timestamptz not null,
    organization_id uuid not null,
    extractor text not null,
    extractor_version integer not null,
    transcript_sha256 bytea not null check (length(transcript_sha256) = 32),
    transcript text,
    transcript_object jsonb,
    structured_data jsonb,
    extraction_model text,
    extraction_confidence numeric(3, 2) check (extraction_confidence between 0 and 1),
    extraction_timestamp timestamptz,
    sentiment_score numeric(3, 2) check (sentiment_score between -1 and 1),
    call_quality_score numeric(3, 2) check (call_quality_score between 0 and 1),
    recording_url text,
    status text not null check (status in ('ok', 'empty', 'failed', 'skipped')),
    created_at timestamptz not null default now(),
    unique (call_id, extractor, extractor_version, transcript_sha256)
);
create index call_results_created on call_results (created_at desc);
create index call_results_organization on call_results (organization_id);
create index call_results_data on call_results using gin (structured_data);
call protect_tenant_table('call_results');

-- English stems and exact words side by side, so that names and other languages are found too.
-- A tsvector holds 1 MB: a longer transcript is searchable by its beginning.
create function transcript_vector(transcript text) returns tsvector
    language plpgsql immutable parallel safe
    as $$
begin
    return to_tsvector('english', transcript) || to_tsvector('simple', transcript);
exception when program_limit_exceeded then
    begin
        return to_tsvector('simple', left(transcript, 100000));
    exception when program_limit_exceeded then
        return to_tsvector('simple', left(transcript, 10000));
    end;
end $$;

-- One month of one parent. Row level security is per table, so a partition gets its own (without a
-- policy: nobody reads it but through the parent).
create function ensure_partition(parent regclass, month date) returns boolean
    language plpgsql security definer set search_path = public, pg_temp
    as $$
declare
    child text := format('%s_%s', parent::text, to_char(month, 'YYYY_MM'));
begin
    if to_regclass(child) is not null then
        return false;
    end if;
    begin
        execute format('create table %I partition of %s for values from (%L) to (%L)',
            child, parent, month::timestamp at time zone 'UTC',
            (month + interval '1 month') at time zone 'UTC');
    exception when check_violation then
        -- Rows of that month lie in the DEFAULT partition already: told by its count.
        raise warning '% holds rows of %', parent, month;
        return false;
    end;
    execute format('alter table %I enable row level security', child);
    execute format('alter table %I force row level security', child);
    return true;
end $$;

-- Every partitioned parent from `from_month` on for `months` months; returns how many were made.
create function ensure_partitions(from_month date, months integer) returns integer
    language plpgsql security definer set search_path = public, pg_temp
    as $$
declare
    parent regclass;
    made integer := 0;
begin
    -- Two processes at once would both see the partition missing.
    perform pg_advisory_xact_lock(hashtext('postcall.partitions'));
    for parent in
        select c.oid from pg_class c where c.relkind = 'p' and c.relnamespace = 'public'::regnamespace
    loop
        for offset_months in 0 .. least(months, 36) - 1 loop
            if ensure_partition(
                parent,
                (date_trunc('month', from_month) + make_interval(months => offset_months))::date)
            then
                made := made + 1;
            end if;
        end loop;
    end loop;
    return made;
end $$;

-- Rows that no monthly partition took; anything but 0 is an alert.
create function rows_in_default_partitions() returns bigint
    language plpgsql security definer set search_path = public, pg_temp
    as $$
declare
    child regclass;
    found bigint;
    total bigint := 0;
begin
    for child in
        select i.inhrelid from pg_inherits i
        join pg_class c on c.oid = i.inhrelid and c.relnamespace = 'public'::regnamespace
        where pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT'
    loop
        execute format('select count(*) from %s', child) into found;
        total := total + found;
    end loop;
    return total;
end $$;

create table calls_default partition of calls default;
create table call_transcripts_default partition of call_transcripts default;
create table call_actions_default partition of call_actions default;
-- The owner counts the rows in them, also where it may not pass row level security.
do $$
declare
    child text;
begin
    foreach child in array array['calls_default', 'call_transcripts_default', 'call_actions_default']
    loop
        execute format('alter table %I enable row level security', child);
        execute format('alter table %I force row level security', child);
        execute format('create policy count on %I for select to %I using (true)',
            child, current_user);
    end loop;
end $$;
-- Three months back, for late reports and imports; three ahead, as the schedule keeps it.
select ensure_partitions((date_trunc('month', now()) - interval '3 months')::date, 7);

revoke execute on function ensure_partition(regclass, date) from public;
revoke execute on function ensure_partitions(date, integer) from public;
revoke execute on function rows_in_default_partitions() from public;
grant execute on function ensure_partitions(date, integer) to postcall_worker;
grant execute on function rows_in_default_partitions() to postcall_worker;

grant select, insert, update on inbox to postcall_api, postcall_worker;
grant select on calls, call_keys, call_transcripts, call_actions, call_recordings, call_results
    to postcall_api;
grant select, insert, update on calls, call_keys, call_transcripts, call_actions, call_recordings,
    call_results to postcall_worker;
grant delete on call_actions to postcall_worker;
