-- Every row that is about a call, each at every instant that it tells of, oldest first.
--
-- Each part walks an index by the call. What has no clock of its own stands where the call was last
-- changed. `source` is the table, `id` its row. Names, numbers and what was said stay in their own routes.
with about as (
    select k.organization_id, k.call_id, k.created_at from call_keys k
    where k.organization_id = $1 and k.call_id = $2
), call as (
    select c.* from about a
    join calls c on c.id = a.call_id and c.created_at = a.created_at
        and c.organization_id = a.organization_id
), told as (
    select i.* from about a
    join inbox i on i.call_id = a.call_id and i.organization_id = a.organization_id
), noted as (
    select e.* from about a
    join events e on e.call_id = a.call_id and e.organization_id = a.organization_id
), sent as (
    select d.* from about a
    join webhook_deliveries d on d.call_id = a.call_id and d.organization_id = a.organization_id
), booked as (
    select l.* from about a
    join usage_ledger l on l.call_id = a.call_id and l.organization_id = a.organization_id
), messages as (
    select n.* from about a
    join notifications n on n.call_id = a.call_id and n.organization_id = a.organization_id
), reported as (
    select r.* from (select distinct organization_id, period_id from booked) p
    join stripe_reports r on r.period_id = p.period_id and r.organization_id = p.organization_id
), entries (at, source, id, what, details) as (
    select i.received_at, 'inbox', i.id, 'received', jsonb_build_object('provider', i.provider,
        'event_kind', i.event_kind, 'origin', i.origin, 'status', i.status,
        'parked_reason', i.parked_reason, 'conflicts', i.conflicts)
    from told i
    union all
    select i.folded_at, 'inbox', i.id, 'folded', jsonb_build_object('event_kind', i.event_kind)
    from told i where i.folded_at is not null
    union all
    select i.processed_at, 'inbox', i.id, 'processed', jsonb_build_object(
        'event_kind', i.event_kind, 'status', i.status, 'dispatches', i.dispatches)
    from told i where i.processed_at is not null
    union all
    select a.created_at, 'call_keys', a.call_id, 'known', '{}' from about a
    union all
    select c.started_at, 'calls', c.id, 'started', jsonb_build_object('direction', c.direction)
    from call c where c.started_at is not null
    union all
    select c.ended_at, 'calls', c.id, 'ended', jsonb_build_object('ended_reason', c.ended_reason,
        'duration_seconds', c.duration_seconds)
    from call c where c.ended_at is not null
    union all
    select c.updated_at, 'calls', c.id, 'changed', jsonb_build_object('status', c.status,
        'outcome', c.outcome, 'billed_minutes', c.billed_minutes, 'cost_usd', c.cost_usd,
        'steps', c.steps)
    from call c
    union all
    select c.updated_at, 'call_transcripts', t.call_id, 'written', jsonb_build_object(
        'characters', length(t.transcript_text), 'has_summary', t.summary is not null)
    from call c join call_transcripts t on t.call_id = c.id and t.call_created_at = c.created_at
    union all
    select c.updated_at, 'call_actions', x.id, 'written', jsonb_build_object(
        'position', x.position, 'status', x.status, 'due_at', x.due_at)
    from call c join call_actions x on x.call_id = c.id and x.call_created_at = c.created_at
    union all
    select coalesce(r.stored_at, c.updated_at), 'call_recordings', r.call_id, r.status,
        jsonb_build_object('content_type', r.content_type, 'bytes', r.bytes,
            'sha256', encode(r.sha256, 'hex'))
    from call c join call_recordings r on r.call_id = c.id and r.organization_id = c.organization_id
    union all
    select r.created_at, 'call_results', r.id, r.status, jsonb_build_object(
        'extractor', r.extractor, 'extractor_version', r.extractor_version,
        'extraction_model', r.extraction_model)
    from call c join call_results r on r.call_id = c.id and r.organization_id = c.organization_id
    union all
    select n.created_at, 'notifications', n.id, 'written', jsonb_build_object('kind', n.kind,
        'channel', n.channel)
    from messages n
    union all
    select n.claimed_at, 'notifications', n.id, 'sending', jsonb_build_object('kind', n.kind,
        'channel', n.channel)
    from messages n where n.claimed_at is not null
    union all
    select n.settled_at, 'notifications', n.id, n.state, jsonb_build_object('kind', n.kind,
        'channel', n.channel, 'provider_id', n.provider_id, 'error', n.error)
    from messages n where n.settled_at is not null
    union all
    select e.created_at, 'events', e.id, 'written', jsonb_build_object('type', e.type)
    from noted e
    union all
    select d.created_at, 'webhook_deliveries', d.id, 'written', jsonb_build_object(
        'webhook_id', d.webhook_id, 'event_id', d.event_id, 'event', d.event)
    from sent d
    union all
    select d.settled_at, 'webhook_deliveries', d.id, d.state, jsonb_build_object(
        'webhook_id', d.webhook_id, 'event_id', d.event_id, 'attempts', d.attempts)
    from sent d where d.settled_at is not null
    union all
    select l.created_at, 'webhook_logs', l.id, l.kind, jsonb_build_object(
        'webhook_id', l.webhook_id, 'event_id', l.event_id, 'delivery_id', l.delivery_id,
        'attempt_number', l.attempt_number, 'status_code', l.status_code, 'error', l.error,
        'latency_ms', l.latency_ms)
    from sent d join webhook_logs l on l.delivery_id = d.id and l.organization_id = d.organization_id
    union all
    select l.created_at, 'webhook_logs', l.id, l.kind, jsonb_build_object(
        'webhook_id', l.webhook_id, 'event_id', l.event_id, 'error', l.error)
    from noted e join webhook_logs l on l.event_id = e.id and l.delivery_id is null
        and l.organization_id = e.organization_id
    union all
    select l.recorded_at, 'usage_ledger', l.id, 'booked', jsonb_build_object('meter', l.meter,
        'revision', l.revision, 'quantity', l.quantity, 'reason', l.reason,
        'occurred_at', l.occurred_at, 'period_id', l.period_id)
    from booked l
    union all
    select v.created_at, 'usage_voids', v.call_id, 'voided', jsonb_build_object('reason', v.reason)
    from about a join usage_voids v on v.call_id = a.call_id and v.organization_id = a.organization_id
    union all
    select r.first_sent_at, 'stripe_reports', r.id, 'sent', jsonb_build_object(
        'period_id', r.period_id, 'identifier', r.identifier, 'quantity', r.quantity)
    from reported r where r.first_sent_at is not null
    union all
    select r.settled_at, 'stripe_reports', r.id, r.state, jsonb_build_object(
        'period_id', r.period_id, 'identifier', r.identifier, 'error', r.error)
    from reported r where r.settled_at is not null
    union all
    select r.counted_at, 'stripe_reports', r.id, 'counted', jsonb_build_object(
        'period_id', r.period_id, 'counted_minutes', r.counted_minutes)
    from reported r where r.counted_at is not null
    union all
    select l.created_at, 'audit_log', l.id, l.action, jsonb_build_object('actor', l.actor)
    from (
        select organization_id, 'call:' || call_id as target, null::uuid as delivery from about
        union all
        select organization_id, 'inbox:' || id, null from told
        union all
        select organization_id, 'webhooks:' || webhook_id, id from sent
    ) a join audit_log l on l.organization_id = a.organization_id and l.target = a.target
        and (a.delivery is null
            or l.action = 'webhooks.resend' and l.before ->> 'delivery_id' = a.delivery::text)
)
select at as "at!", source as "source!", id as "id!", what as "what!",
    jsonb_strip_nulls(details) as "details!"
from entries
where source <> all($8::text[])
  and ($3::timestamptz is null or (at, source, id, what) > ($3, $4, $5, $6))
order by at, source, id, what
limit $7
