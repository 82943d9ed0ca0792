-- The truth: an append-only event store with its outbox, inbox, snapshots, idempotency records, guards and leases.
set role patriot_owner;

-- position = (transaction id + base) << 20 | ordinal in the transaction. So positions are in order of transaction ids,
-- and everything below pg_snapshot_xmin is final: a reader that pages by position never skips a late commit.
-- A sequence cannot promise that. After a logical restore into another server the transaction ids start lower:
-- reset_position_base() then lifts the base above every stored position.
create table position_base (
    only_row boolean primary key default true check (only_row),
    base bigint not null
);
insert into position_base (base) values (0);

create function next_position() returns bigint
language sql volatile
begin atomic
    select (pg_current_xact_id()::text::bigint + base) << 20 from position_base;
end;

-- Stable, so that it sees the snapshot of the query that calls it: a newer horizon would let rows be skipped.
create function position_horizon() returns bigint
language sql stable
begin atomic
    select (pg_snapshot_xmin(pg_current_snapshot())::text::bigint + base) << 20 from position_base;
end;

-- The last word of a statement that inserts `on conflict do nothing`: a row that is missing lost a race.
create function require_all(written bigint, wanted bigint) returns bigint
language plpgsql as $$
begin
    if written < wanted then
        raise exception '% of % rows lost a race', wanted - written, wanted using errcode = 'serialization_failure';
    end if;
    return written;
end
$$;

create table event_store (
    tenant_id uuid not null,
    aggregate_id uuid not null,
    event_version integer not null check (event_version > 0),
    position bigint not null,
    aggregate_type text not null,
    event_type text not null,
    schema_version smallint not null,
    event_data jsonb not null,
    occurred_at timestamptz not null,
    correlation_id text not null,
    causation_id text not null,
    actor text not null,
    -- named as the sources name it: the tenant leads because every query carries it
    constraint idx_event_store_aggregate primary key (tenant_id, aggregate_id, event_version)
);
create unique index idx_event_store_position on event_store (position);
-- Events arrive in order of time, and correlation ids begin with it (req_<ms>_…): block ranges find both, and cost next
-- to nothing on the path of an order.
create index idx_event_store_type on event_store using brin (aggregate_type, occurred_at) with (autosummarize = on);
create index idx_event_store_correlation on event_store using brin (correlation_id) with (autosummarize = on);
select isolate_tenants('event_store');
revoke update, delete, truncate on event_store from patriot_system;

create function event_store_is_immutable() returns trigger
language plpgsql as $$
begin
    raise exception 'events are never changed or deleted';
end
$$;
create trigger event_store_is_immutable before update or delete or truncate on event_store
    for each statement execute function event_store_is_immutable();

create function reset_position_base() returns void
language sql
begin atomic
    update position_base set base = greatest(
        base,
        coalesce((select max(position) >> 20 from event_store), 0) - pg_current_xact_id()::text::bigint + 1
    );
end;

-- A pointer to an event that is not published yet. The relay takes what a crash left behind.
create table outbox (
    position bigint primary key,
    tenant_id uuid not null,
    created_at timestamptz not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
select isolate_tenants('outbox');

create table inbox (
    tenant_id uuid not null,
    consumer text not null,
    event_id text not null,
    correlation_id text not null,
    received_at timestamptz not null,
    primary key (tenant_id, consumer, event_id)
);
create index idx_inbox_received on inbox (received_at);
select isolate_tenants('inbox');

create table snapshots (
    tenant_id uuid not null,
    aggregate_id uuid not null,
    aggregate_type text not null,
    version integer not null,
    data jsonb not null,
    primary key (tenant_id, aggregate_id)
);
select isolate_tenants('snapshots');

create table idempotency (
    tenant_id uuid not null,
    user_id uuid not null,
    route text not null,
    key text not null,
    body_hash bytea not null,
    status integer not null,
    response bytea not null,
    correlation_id text not null,
    created_at timestamptz not null,
    primary key (tenant_id, user_id, route, key)
);
create index idx_idempotency_created on idempotency (created_at);
select isolate_tenants('idempotency');

-- Limits' versions and kill switches. The scope "platform" belongs to tenant 0 and binds everyone.
create table guards (
    tenant_id uuid not null,
    scope text not null,
    version integer not null,
    halted boolean not null,
    correlation_id text not null,
    primary key (tenant_id, scope)
);
select isolate_tenants('guards');
create policy platform_guards on guards for select
    using (tenant_id = '00000000-0000-0000-0000-000000000000' and scope = 'platform');

create table leases (
    name text primary key,
    owner text not null,
    epoch bigint not null,
    expires_at timestamptz not null
);

grant select, update on position_base to patriot_system;
grant select, insert, update, delete on leases to patriot_system;

create view audit_log with (security_invoker = true) as
    select
        tenant_id, actor, event_type as action, aggregate_type, aggregate_id, event_version,
        correlation_id, causation_id, occurred_at, position
    from event_store;
grant select on audit_log to patriot_app, patriot_system;
