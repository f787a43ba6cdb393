-- Why: customers manage what is theirs, assistants, numbers, people and settings; who changed what is
-- told; and members read their organizations' rows through Supabase, where there is one.

-- Lets the owner of the schema pass row level security that binds it too. The processes are never the
-- owner: their transactions switch to a role of their own.
create procedure open_to_owner(target regclass, command text default 'all')
    language plpgsql
    as $$
begin
    execute format('create policy owner on %s for %s to %I using (true)%s', target, command,
        current_user, case command when 'all' then ' with check (true)' else '' end);
end $$;

-- No organization: what operators change of templates and users, which belong to none.
alter table audit_log alter column organization_id drop not null;
call open_to_owner('audit_log');
drop index audit_log_organization;
create index audit_log_organization on audit_log (organization_id, created_at desc, id desc);
create index audit_log_actor on audit_log (organization_id, actor, created_at desc, id desc);
create index audit_log_action on audit_log (organization_id, action, created_at desc, id desc);
create index audit_log_target on audit_log (organization_id, target, created_at desc, id desc);

alter table organizations
    -- Grows with each change; the ETag.
    add column version bigint not null default 1,
    add column updated_at timestamptz not null default now();
call open_to_owner('organizations', 'select');
grant update (name, timezone, settings, version, updated_at) on organizations to postcall_api;
grant update (version, updated_at) on organizations to postcall_worker;
-- Another time zone makes other days of what was used: all are added up again.
grant insert, update on usage_days_touched to postcall_api;

alter table assistants
    add column version bigint not null default 1,
    add column updated_at timestamptz not null default now(),
    -- Calls and endpoints go on to tell whose they were.
    add column deleted_at timestamptz;
drop index assistants_provider_id;
create unique index assistants_provider_id
    on assistants (organization_id, provider, provider_assistant_id) where deleted_at is null;
-- Late events of an assistant that is gone still find it.
create index assistants_at_provider
    on assistants (organization_id, provider, provider_assistant_id);
create index assistants_list on assistants (organization_id, created_at desc, id desc)
    where deleted_at is null;
grant insert, update on assistants to postcall_api;

alter table phone_numbers
    add column version bigint not null default 1,
    add column updated_at timestamptz not null default now(),
    add column deleted_at timestamptz;
alter table phone_numbers drop constraint phone_numbers_provider_number_key;
create unique index phone_numbers_number on phone_numbers (provider, number)
    where deleted_at is null;
create index phone_numbers_list on phone_numbers (organization_id, created_at desc, id desc)
    where deleted_at is null;
grant insert, update on phone_numbers to postcall_api;

alter table users
    -- Whose words email and name are: nobody else's changes them. None: an operator's.
    add column written_by uuid references organizations (id),
    add column updated_at timestamptz not null default now();
create index users_written_by on users (written_by);
-- Seen by those that have them as a member, written by who made them known.
drop policy members on users;
create policy members on users for select to postcall_api, postcall_worker
    using (exists (
        select from organization_members m
        where m.user_id = users.id and m.organization_id = current_organization()));
create policy newcomers on users for insert to postcall_api
    with check (written_by = current_organization());
create policy own on users for update to postcall_api
    using (written_by = current_organization()) with check (written_by = current_organization());
call open_to_owner('users');
grant insert on users to postcall_api;
grant update (email, name, updated_at) on users to postcall_api;

create index organization_members_list
    on organization_members (organization_id, created_at desc, user_id desc);
call open_to_owner('organization_members', 'select');
grant insert, update (role), delete on organization_members to postcall_api;

alter table templates
    add column description text not null default '',
    add column version bigint not null default 1,
    add column created_at timestamptz not null default now(),
    add column updated_at timestamptz not null default now();
call open_to_owner('templates');

-- What to begin with. A template that an operator has changed, or has deleted later, stays so.
update templates t set description = new.description, configuration = new.configuration
from (values
    ('front-desk', '{"first_message": "Hello, how may I help you?", "extractor": "general"}'::jsonb,
     'A receptionist: answers, finds out what it is about, takes a message or puts through.',
     '{"first_message": "Hello, thank you for calling. How may I help you?",
       "system_prompt": "You are the receptionist. Find out who is calling and what it is about. Answer what you know, else take a message with a name and a number to call back. Be brief and friendly.",
       "language": "en", "extractor": "general", "max_duration_seconds": 600,
       "end_call_phrases": ["goodbye", "have a nice day"]}'::jsonb),
    ('appointments',
     '{"first_message": "Hello, would you like to make an appointment?", "extractor": "appointment"}',
     'Books, moves and cancels appointments.',
     '{"first_message": "Hello, would you like to make, move or cancel an appointment?",
       "system_prompt": "You book appointments. Ask for the name, the reason, and two times that suit. Read the appointment back before you confirm it. Never give medical or legal advice.",
       "language": "en", "extractor": "appointment", "max_duration_seconds": 600,
       "end_call_phrases": ["goodbye", "see you then"]}'),
    ('after-hours',
     '{"first_message": "We are closed now. May I take a message?", "extractor": "message"}',
     'Takes messages when nobody is there, and tells an emergency from what can wait.',
     '{"first_message": "Hello, we are closed at the moment. May I take a message?",
       "system_prompt": "Nobody is in. Take a message: name, number, what it is about, and how urgent it is. If it is an emergency, say that somebody will be told at once.",
       "language": "en", "extractor": "message", "max_duration_seconds": 300,
       "end_call_phrases": ["goodbye", "good night"]}')
) as new (slug, was, description, configuration)
where t.slug = new.slug and t.configuration = new.was;
insert into templates (id, slug, name, industry_id, is_featured, description, configuration) values
    ('0199a000-0000-7000-8000-000000000004', 'lead-qualification', 'Lead qualification', 'sales', true,
     'Calls or answers prospects and finds out whether they are worth a salesperson''s time.',
     '{"first_message": "Hello, thank you for your interest. May I ask you a few short questions?",
       "system_prompt": "You qualify leads. Find out the need, the budget, who decides, and by when. Do not press. Offer a call with a salesperson where it fits.",
       "language": "en", "extractor": "lead", "max_duration_seconds": 480,
       "end_call_phrases": ["goodbye", "talk to you soon"]}'),
    ('0199a000-0000-7000-8000-000000000005', 'order-status', 'Order status', 'retail', true,
     'Tells customers where their order is, and takes complaints.',
     '{"first_message": "Hello, do you have your order number at hand?",
       "system_prompt": "You tell customers the state of their order. Ask for the order number, and for the postal code to be sure. If something is wrong, take it down and say who will call back.",
       "language": "en", "extractor": "order", "max_duration_seconds": 480,
       "end_call_phrases": ["goodbye", "thank you for your order"]}'),
    ('0199a000-0000-7000-8000-000000000006', 'driver-check-in', 'Driver check-in', 'logistics', true,
     'Asks drivers where they are and when they will arrive; an emergency goes to a human at once.',
     '{"first_message": "Hello, this is dispatch. Can you tell me how your load is going?",
       "system_prompt": "You check in with a truck driver about a load. Find out whether the driver is driving, delayed, arriving or unloading, the location, the expected time of arrival, and what delays there are. If you hear of an accident, a blowout, a breakdown or an injury, stop, ask whether everybody is safe and where they are, and say that a human is being called.",
       "language": "en", "extractor": "driver_check_in", "max_duration_seconds": 300,
       "emergency_keywords": ["accident", "blowout", "breakdown", "injured"],
       "end_call_phrases": ["drive safely"]}'),
    ('0199a000-0000-7000-8000-000000000007', 'identity-verification', 'Identity verification',
     'logistics', false, 'Calls a business to verify who it is and what it says of itself.',
     '{"first_message": "Hello, I am calling to confirm a few details that you gave us.",
       "system_prompt": "You verify details of a business by phone. Ask for one detail at a time and do not tell what you have on file. End politely where the other side does not want to answer.",
       "language": "en", "extractor": "verification", "max_duration_seconds": 420,
       "end_call_phrases": ["goodbye", "thank you for your time"]}'),
    ('0199a000-0000-7000-8000-000000000008', 'price-negotiation', 'Price negotiation',
     'home-services', false, 'Asks service providers for a price and negotiates it down to a limit.',
     '{"first_message": "Hello, I am looking for somebody to do a job. Do you have a minute?",
       "system_prompt": "You ask a service provider for a quote and negotiate. Describe the problem in your own words. Do not tell the highest price you may pay. Get a firm price and a time before you agree.",
       "language": "en", "extractor": "negotiation", "max_duration_seconds": 600,
       "end_call_phrases": ["goodbye", "thank you"]}')
on conflict do nothing;

-- Supabase's own API works as the role `authenticated`, for the user that auth.uid() names. It may read
-- what an organization of the user's has, and nothing else; `anon` may read nothing. Where there is no
-- such role and function there is nothing to open. A later table is opened by a line in its migration.
create procedure open_to_members(
    target regclass, columns text default '',
    inside text default 'organization_id in (select member_organizations())')
    language plpgsql
    as $$
begin
    if to_regrole('authenticated') is null or to_regprocedure('auth.uid()') is null then
        return;
    end if;
    execute format('create policy read_by_members on %s for select to authenticated using (%s)',
        target, inside);
    execute format('grant select %s on %s to authenticated', columns, target);
end $$;

do $$
declare
    visitor text;
    found record;
begin
    if to_regrole('authenticated') is null or to_regprocedure('auth.uid()') is null then
        return;
    end if;
    -- Supabase grants everything on what is new to these roles and relies on row level security alone.
    -- Ours are the tables with a policy for our roles, their partitions, and the migrations' own.
    foreach visitor in array array['anon', 'authenticated'] loop
        continue when to_regrole(visitor) is null;
        for found in
            select c.oid::regclass as name from pg_class c
            left join pg_inherits i on i.inhrelid = c.oid
            where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
              and (c.relname = '_sqlx_migrations' or exists (
                  select from pg_policy p where p.polrelid = coalesce(i.inhparent, c.oid)
                    and to_regrole('postcall_api') = any (p.polroles)))
        loop
            execute format('revoke all on %s from %I', found.name, visitor);
        end loop;
        execute format('revoke all on function ensure_partition(regclass, date),
            ensure_partitions(date, integer), rows_in_default_partitions() from %I', visitor);
    end loop;
    -- With the owner's eyes, or the policy of organization_members would need itself.
    create function member_organizations() returns setof uuid
        language sql stable security definer set search_path = public, pg_temp
        as $body$
            select m.organization_id from organization_members m
            join organizations o on o.id = m.organization_id and o.deleted_at is null
            where m.user_id = auth.uid()
        $body$;
    revoke execute on function member_organizations() from public;
    if to_regrole('anon') is not null then
        revoke execute on function member_organizations() from anon;
    end if;
    grant execute on function member_organizations() to authenticated;
    grant usage on schema public to authenticated;
end $$;
call open_to_members('organizations', inside => 'id in (select member_organizations())');
call open_to_members('organization_members');
call open_to_members('users', inside =>
    'id = auth.uid() or exists (select from organization_members m where m.user_id = users.id
         and m.organization_id in (select member_organizations()))');
call open_to_members('templates', inside => 'is_active');
call open_to_members('assistants');
call open_to_members('phone_numbers');
call open_to_members('calls');
call open_to_members('call_transcripts');
call open_to_members('call_actions');
call open_to_members('call_results');
-- Not the provider's links to the audio: who has one needs nothing else.
call open_to_members('call_recordings', '(call_id, call_created_at, organization_id, content_type,
    bytes, sha256, duration_seconds, status, stored_at)');
-- Not the secrets.
call open_to_members('webhooks', '(id, organization_id, assistant_id, url, events, enabled,
    disabled_reason, disabled_at, description, rate_limit, ordering, thin, schedule, circuit,
    circuit_probe_at, failing_since, retry_count, last_triggered_at, last_status, last_error,
    previous_secret_ends_at, version, deleted_at, created_at, updated_at)');
call open_to_members('webhook_logs');
call open_to_members('daily_usage');
call open_to_members('usage_totals');
call open_to_members('billing_periods');
