-- Parent orders of execution algorithms. Written in the commits of their events: the engine begins with those that run.
set role patriot_owner;

create table algorithms (
    tenant_id uuid not null,
    correlation_id text not null,
    id uuid not null,
    account_id uuid,
    user_id uuid,
    algorithm text,
    instrument text,
    side text,
    status text,
    quantity amount,
    limit_price amount,
    arrival_price amount,
    filled_quantity amount,
    average_price amount,
    slippage amount,
    placed integer,
    parameters jsonb,
    reason text,
    created_at timestamptz,
    updated_at timestamptz,
    stream_version integer not null,
    primary key (tenant_id, id)
);
create index idx_algorithms_user on algorithms (tenant_id, user_id, created_at desc);
create index idx_algorithms_running on algorithms (status) where status in ('running', 'paused');
select isolate_tenants('algorithms');
