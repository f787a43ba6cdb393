-- Why: webhooks of every provider: rotated secrets, batches of the receiver, sweeps, replay.

-- `secret` proves webhooks; until `previous_ends_at` so does `previous_secret`. `shared_key` is
-- Twilio's second scheme, `api_key` opens the provider's API to the sweep.
alter table provider_credentials
    add column previous_ends_at timestamptz,
    add column shared_key bytea,
    add column api_key bytea;
grant insert, update, delete on provider_credentials to postcall_api;

-- `message`: what became of a text message.
alter table inbox drop constraint inbox_life_check;
alter table inbox add constraint inbox_life_check
    check (life in ('progress', 'ended', 'report', 'message', 'other'));
-- The text message that a status callback is about: our own id of it, from the callback's URL.
alter table inbox add column notification_id uuid;

create index inbox_organization on inbox (organization_id, received_at desc, id desc);
create index inbox_swept on inbox (organization_id, received_at desc, id desc)
    where origin = 'sweep';

-- The receiver writes events of many organizations in one transaction. It has verified each.
create policy intake on inbox to postcall_api
    using (current_setting('app.scope', true) = 'intake')
    with check (current_setting('app.scope', true) = 'intake');

-- The provider's ids of earlier sendings that did not arrive: a message in doubt is none of them.
alter table notifications add column lost_provider_ids text[] not null default '{}';

-- Further links to the same audio, tried when the first one fails; presigned ones among them.
alter table call_recordings add column other_urls text[] not null default '{}';

-- How far each provider's list of calls was read.
create table provider_sweeps (
    organization_id uuid not null references organizations (id),
    provider text not null check (provider in ('vapi', 'retell', 'twilio')),
    -- Calls that changed before this are known.
    swept_until timestamptz,
    last_run_at timestamptz not null,
    listed integer not null default 0,
    -- Calls that only the sweep told of, or told the end of, in the last run.
    found integer not null default 0,
    -- Why the last run failed, free of personal data.
    error text,
    primary key (organization_id, provider)
);
call protect_tenant_table('provider_sweeps');
grant select on provider_sweeps to postcall_api;
grant select, insert, update on provider_sweeps to postcall_worker;

-- The sweep asks who is to be swept, and which calls never ended, across organizations.
create policy sweep on provider_credentials for select to postcall_worker
    using (current_setting('app.scope', true) = 'sweep');
create policy sweep on calls for select to postcall_worker
    using (current_setting('app.scope', true) = 'sweep');
create index calls_unfinished on calls (provider, created_at) where billed_minutes is null;
