-- Why: organizations own every row; two roles without ownership or BYPASSRLS work for them.
do $$
begin
    create role postcall_api nologin;
exception when duplicate_object or unique_violation then null;
end $$;
do $$
begin
    create role postcall_worker nologin;
exception when duplicate_object or unique_violation then null;
end $$;
-- The login of the processes switches into these roles inside each transaction.
do $$
begin
    execute format('grant postcall_api, postcall_worker to %I', current_user);
exception when unique_violation or raise_exception then null;
end $$;
grant usage on schema public to postcall_api, postcall_worker;

-- Unset means no organization, and no organization means no rows.
create function current_organization() returns uuid
    language sql stable parallel safe
    as $$ select nullif(current_setting('app.organization_id', true), '')::uuid $$;

-- Puts a table under row level security that even its owner cannot pass.
create procedure protect_tenant_table(target regclass, tenant_column text default 'organization_id')
    language plpgsql
    as $$
begin
    execute format('alter table %s enable row level security', target);
    execute format('alter table %s force row level security', target);
    execute format(
        'create policy tenant on %s to postcall_api, postcall_worker '
        'using (%I = current_organization()) with check (%I = current_organization())',
        target, tenant_column, tenant_column);
end $$;

create table organizations (
    id uuid primary key,
    name text not null,
    slug text not null,
    plan text not null default 'starter',
    plan_minutes integer not null default 0 check (plan_minutes >= 0),
    overage_price numeric(12, 6) not null default 0 check (overage_price >= 0),
    timezone text not null default 'UTC',
    settings jsonb not null default '{}',
    stripe_customer_id text,
    stripe_subscription_id text,
    billing_anchor_day smallint not null default 1 check (billing_anchor_day between 1 and 31),
    current_period_start timestamptz,
    current_period_end timestamptz,
    deleted_at timestamptz,
    created_at timestamptz not null default now()
);
create unique index organizations_slug on organizations (slug) where deleted_at is null;
call protect_tenant_table('organizations', 'id');

create table users (
    id uuid primary key,
    email text not null,
    name text,
    created_at timestamptz not null default now()
);
create index users_email on users (email);

create table organization_members (
    organization_id uuid not null references organizations (id),
    user_id uuid not null references users (id),
    role text not null check (role in ('owner', 'admin', 'member')),
    created_at timestamptz not null default now(),
    primary key (organization_id, user_id)
);
create index organization_members_user on organization_members (user_id);
call protect_tenant_table('organization_members');

-- A user belongs to no organization alone: visible to those that have them as a member.
alter table users enable row level security;
alter table users force row level security;
create policy members on users to postcall_api, postcall_worker
    using (exists (
        select from organization_members m
        where m.user_id = users.id and m.organization_id = current_organization()));

create table templates (
    id uuid primary key,
    slug text not null unique,
    name text not null,
    industry_id text,
    is_featured boolean not null default false,
    is_active boolean not null default true,
    configuration jsonb not null default '{}'
);
create index templates_industry on templates (industry_id, is_featured, is_active);
-- Everybody's to read, nobody's to write.
alter table templates enable row level security;
alter table templates force row level security;
create policy everybody on templates for select to postcall_api, postcall_worker using (true);

create table assistants (
    id uuid primary key,
    organization_id uuid not null references organizations (id),
    name text not null,
    provider text not null check (provider in ('vapi', 'retell', 'twilio')),
    provider_assistant_id text,
    template_id uuid references templates (id),
    configuration jsonb not null default '{}',
    is_active boolean not null default true,
    created_at timestamptz not null default now()
);
create unique index assistants_provider_id
    on assistants (organization_id, provider, provider_assistant_id);
create index assistants_template on assistants (template_id);
call protect_tenant_table('assistants');

create table phone_numbers (
    id uuid primary key,
    organization_id uuid not null references organizations (id),
    number text not null check (number ~ '^\+[1-9][0-9]{1,14}$'),
    provider text not null check (provider in ('vapi', 'retell', 'twilio')),
    provider_phone_number_id text,
    assistant_id uuid references assistants (id),
    created_at timestamptz not null default now(),
    unique (provider, number)
);
create index phone_numbers_organization on phone_numbers (organization_id);
create index phone_numbers_assistant on phone_numbers (assistant_id);
call protect_tenant_table('phone_numbers');

create table provider_credentials (
    organization_id uuid not null references organizations (id),
    provider text not null check (provider in ('vapi', 'retell', 'twilio', 'stripe')),
    secret bytea not null,
    previous_secret bytea,
    settings jsonb not null default '{}',
    rotated_at timestamptz not null default now(),
    primary key (organization_id, provider)
);
call protect_tenant_table('provider_credentials');

create table api_keys (
    id uuid primary key,
    organization_id uuid not null references organizations (id),
    user_id uuid references users (id),
    name text not null,
    key_prefix text not null check (length(key_prefix) = 10),
    key_hash bytea not null unique check (length(key_hash) = 32),
    last_used_at timestamptz,
    expires_at timestamptz,
    rate_limit integer check (rate_limit > 0),
    usage_quota bigint check (usage_quota >= 0),
    usage_count bigint not null default 0,
    enabled boolean not null default true,
    scopes text[] not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index api_keys_organization on api_keys (organization_id);
create index api_keys_user on api_keys (user_id);
create index api_keys_enabled on api_keys (enabled);
create index api_keys_expires on api_keys (expires_at);
call protect_tenant_table('api_keys');
-- Before a key is known its organization is not: only the row whose hash is presented shows.
create policy presented on api_keys for select to postcall_api
    using (key_hash = decode(nullif(current_setting('app.api_key_hash', true), ''), 'hex'));

create table audit_log (
    id uuid primary key,
    organization_id uuid not null references organizations (id),
    actor text not null,
    action text not null,
    target text not null,
    before jsonb,
    after jsonb,
    ip inet,
    created_at timestamptz not null default now()
);
create index audit_log_organization on audit_log (organization_id, created_at desc);
call protect_tenant_table('audit_log');

grant select on organizations, users, organization_members, templates, assistants, phone_numbers,
    provider_credentials to postcall_api, postcall_worker;
grant select, update (last_used_at, usage_count) on api_keys to postcall_api;
grant select, insert on audit_log to postcall_api, postcall_worker;
