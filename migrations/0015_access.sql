-- Why: customers manage their keys, members come in with tokens of Supabase, and a POST that is sent
-- twice is done once.

-- The key before the current one works beside it until its end. Its hash stays longer, so that it can
-- be told from one that never was.
alter table api_keys
    add column previous_hash bytea check (length(previous_hash) = 32),
    add column previous_ends_at timestamptz,
    -- Grows with each change by people; also the ETag.
    add column version bigint not null default 1,
    add constraint api_keys_previous check ((previous_hash is null) = (previous_ends_at is null));
create unique index api_keys_previous_hash on api_keys (previous_hash);

create table api_key_days (
    organization_id uuid not null references organizations (id),
    api_key_id uuid not null references api_keys (id) on delete cascade,
    -- In UTC.
    day date not null,
    requests bigint not null check (requests > 0),
    primary key (api_key_id, day)
);
create index api_key_days_organization on api_key_days (organization_id);
create index api_key_days_day on api_key_days (day);
call protect_tenant_table('api_key_days');

-- A POST that had its effect, and what was answered, sealed. Written in the transaction of the effect.
create table idempotency_keys (
    organization_id uuid not null references organizations (id),
    -- api_key:{id} or user:{id}: nobody gets what another was answered.
    caller text not null,
    key text not null check (length(key) between 1 and 255),
    -- SHA-256 of method, path and body.
    request_hash bytea not null check (length(request_hash) = 32),
    answer bytea not null,
    created_at timestamptz not null default now(),
    primary key (organization_id, caller, key)
);
create index idempotency_keys_created on idempotency_keys (created_at);
call protect_tenant_table('idempotency_keys');

-- What is presented before its organization is known; unset means nothing is.
create function presented_key() returns bytea
    language sql stable parallel safe
    as $$ select decode(nullif(current_setting('app.api_key_hash', true), ''), 'hex') $$;
create function presented_user() returns uuid
    language sql stable parallel safe
    as $$ select nullif(current_setting('app.user_id', true), '')::uuid $$;

drop policy presented on api_keys;
create policy presented on api_keys for select to postcall_api
    using (key_hash = presented_key() or previous_hash = presented_key());
create policy presented on organization_members for select to postcall_api
    using (user_id = presented_user());
-- Whether it was deleted.
create policy presented on organizations for select to postcall_api
    using (
        exists (select from api_keys k
            where k.organization_id = organizations.id
              and (k.key_hash = presented_key() or k.previous_hash = presented_key()))
        or exists (select from organization_members m
            where m.organization_id = organizations.id and m.user_id = presented_user()));

-- Counts of many organizations' keys are written at once, and what aged out goes the same way.
call open_to_scope('api_keys', 'access', 'postcall_api');
call open_to_scope('api_key_days', 'access', 'postcall_api');
call open_to_scope('idempotency_keys', 'access', 'postcall_api');

grant insert, update, delete on api_keys to postcall_api;
grant select, insert, update, delete on api_key_days, idempotency_keys to postcall_api;

-- Every process forgets what it believes of a key, a user or an organization once a change is
-- committed. Such changes are rare, so their NOTIFY may stay in the transaction.
create function tell_access() returns trigger
    language plpgsql
    as $$
declare
    changed jsonb;
begin
    if tg_op = 'INSERT' then
        changed := to_jsonb(new);
    else
        changed := to_jsonb(old);
    end if;
    perform pg_notify('postcall_access', tg_argv[0] || ':' || (changed ->> tg_argv[1]));
    return null;
end $$;

create trigger tell_access after delete or update of
    key_hash, previous_hash, previous_ends_at, enabled, expires_at, scopes, rate_limit, usage_quota
    on api_keys for each row execute function tell_access('key', 'id');
create trigger tell_access after insert or update or delete
    on organization_members for each row execute function tell_access('user', 'user_id');
create trigger tell_access after delete or update of deleted_at
    on organizations for each row execute function tell_access('organization', 'id');
